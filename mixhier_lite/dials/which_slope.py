"""Dial *which slope*: pooled, no pooling, partial pooling, and the size of groups."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..after.fit import fit
from ..datasets import FourGroups
from ..errors import refused
from ..gram.term import Term
from ..inputs import Array
from ..known.mixed import LinearMixedModel, gls_blup
from .dial import Axis, Dial, Frame, Knob, Mark, Panel, round_ticks

NOTE = Mark("names", "label", "random", [(np.log10(7), 0.4, "line: average")])


def which_slope(
    data: FourGroups, average: Mapping[int, float] | None = None, name: str = "which-slope"
) -> Dial:
    """Morph one slope for all into partial pooling and none, at any number of rows per group.

    The first n rows of every group count. The first position runs through the random-intercept
    models with variances from sigma2 = 0 (pooled, at 0) over the REML estimate (partial, at 1) to
    infinity (no pooling, at 2), by the weight phi of :prf:ref:`thm-limits`.

    Parameters
    ----------
    data : FourGroups
        At least three rows per group; at most about 40 keep the page light.
    average : mapping of int to float, optional
        Rows per group, and the mean slope of random-intercept models over many data sets.
    name : str
        What the ids on the page are made of.

    Returns
    -------
    Dial
        Its positions are the pooling from 0 to 2, and the rows per group.

    Raises
    ------
    InputError
        Fewer than three rows per group.
    """
    rows = [np.flatnonzero(data.groups == j) for j in range(4)]
    most = min(map(len, rows))
    if most < 3:
        raise refused("dial-needs-larger-groups", largest=most)
    weights = {n: _weight(*_first(data, rows, n)) for n in range(2, most + 1)}
    points = [np.column_stack([data.x[r], data.y[r]]) for r in rows]
    average = average or {}

    def frame(pooling: float, size: float) -> Frame:
        n = int(size)
        x, y, D = _first(data, rows, n)
        partial = weights[n]
        phi = 1 - pooling * (1 - partial) if pooling < 1 else partial * (2 - pooling)
        level, slope, lift = _lines(x, y, D, phi, n)
        x_bar = D.T @ x / n
        y_bar = D.T @ y / n
        between = np.polyfit(x_bar, y_bar, 1)[0]
        pooled = np.polyfit(x, y, 1)[0]
        within = _lines(x, y, D, 0.0, n)[1]
        ends = [np.array([m - 2.2, m + 2.2]) for m in x_bar]
        at = np.log10(n)
        return Frame(
            {
                "points": [group[:n] for group in points],
                "lines": [
                    np.column_stack([u, level + b + slope * u])
                    for u, b in zip(ends, lift, strict=True)
                ],
                "between": [(at, between)],
                "within": [(at, within)],
                "slope": [(at, slope)],
            },
            {
                "rows per group": n,
                "between": float(between),
                "pooled": float(pooled),
                "this dial": float(slope),
                "within": float(within),
                "weight of between": float(phi),
            },
        )

    low, high = (f(np.concatenate(points), axis=0) for f in (np.min, np.max))
    low = low - 0.8
    high = high + 0.8
    curve = [np.array([(np.log10(n), a) for n, a in sorted(average.items()) if 2 <= n <= most])]
    sizes = {float(np.log10(n)): f"{n}" for n in (2, 5, 10, 30) if n <= most}
    scatter = Panel(
        "four groups",
        Axis("covariate x", low[0], high[0], round_ticks(low[0], high[0])),
        Axis("response y", low[1], high[1], round_ticks(low[1], high[1])),
        (Mark("points", "specks", "groups"), Mark("lines", "line", "random")),
    )
    slopes = Panel(
        "the slope",
        Axis("rows per group", np.log10(1.7), np.log10(1.2 * most), sizes),
        Axis("slope", -0.5, 1.6, {0: "0", 0.5: "0.5", 1: "1", 1.5: "1.5"}),
        (
            Mark("truth", "line", "truth thin", [[(0.2, 1), (2, 1)]]),
            *((Mark("average", "line", "random thin", curve),) if len(curve[0]) else ()),
            Mark("between", "dots", "noise"),
            Mark("within", "dots", "fixed"),
            Mark("slope", "dots", "random big"),
            Mark("names", "label", "noise", [(np.log10(1.8), -0.43, "grey: between")]),
            Mark("names", "label", "fixed", [(np.log10(1.8), 1.45, "blue: within")]),
            Mark("names", "label", "random", [(np.log10(7), 1.45, "orange: this dial")]),
            *((NOTE,) if len(curve[0]) else ()),
        ),
    )
    return Dial(
        kind="which_slope",
        name=name,
        alt="Two dials, pooling and rows per group. Left, four groups with one line or four. "
        "Right, the slope: without groups near the between slope, with them at the within slope; a "
        "random intercept goes from one to the other as groups grow.",
        knobs=(Knob("Pooling", 0, 2, 0.05, 1), Knob("Group size", 2, most, 1, min(5, most))),
        panels=(scatter, slopes),
        data={"points": points, "phi": list(weights.values())},
        stops=tuple((1.0, float(n)) for n in (2, 3, 4, 5, 6, 10, 30) if n <= most),
        caption="Partial pooling, variances estimated: which slope it gives",
        says="Leave the upper handle in the middle and let the groups grow with the lower one: "
        "the orange dot is the slope of the lines on the left.",
        frame=frame,
    )


def _first(
    data: FourGroups, rows: list[npt.NDArray[np.intp]], n: int
) -> tuple[Array, Array, Array]:
    """The first n rows of every group: x, y and D."""
    keep = np.concatenate([r[:n] for r in rows])
    return data.x[keep], data.y[keep], data.D[keep]


def _weight(x: Array, y: Array, D: Array) -> float:
    """Weight phi = tau2 / (tau2 + n sigma2) at the REML estimates."""
    model = fit(y, np.column_stack([np.ones(len(x)), x]), Term(D.argmax(axis=1)))
    return float(model.tau2 / (model.tau2 + D[:, 0].sum() * model.Sigma[0][0, 0]))


def _lines(x: Array, y: Array, D: Array, phi: float, n: int) -> tuple[float, float, Array]:
    """Common level, slope and the groups' intercepts for a weight phi between 0 and 1."""
    if phi == 0:
        slope, *own = np.linalg.lstsq(np.column_stack([x, D]), y, rcond=None)[0]
        level = float(y.mean() - slope * x.mean())
        return level, float(slope), np.array(own) - level
    sigma2 = (1 / phi - 1) / n
    X = np.column_stack([np.ones(len(x)), x])
    effects = gls_blup(LinearMixedModel(X, D, sigma2 * np.eye(4), 1.0), y)
    return float(effects.fixed[0]), float(effects.fixed[1]), effects.random
