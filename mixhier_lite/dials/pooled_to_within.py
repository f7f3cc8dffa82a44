"""Dial *from pooled to within*: the slope of four groups as the variance of their effects grows."""

import numpy as np

from ..datasets import FourGroups
from ..inputs import Array
from ..known.mixed import LinearMixedModel, gls_blup
from .dial import Axis, Dial, Frame, Knob, Mark, Panel, power_of_ten, round_ticks


def pooled_to_within(data: FourGroups, name: str = "pooled-to-within") -> Dial:
    """Turn sigma2, the variance of the random intercepts (:prf:ref:`thm-limits`).

    Left, the points with the line of each group. Right, the slope against sigma2. Python takes
    them from `gls_blup`; the page from sums of products within and between groups.

    Parameters
    ----------
    data : FourGroups
        Groups of equal size, at most about 40 rows each keep the page light.
    name : str
        What the ids on the page are made of.

    Returns
    -------
    Dial
        Its position is the decimal logarithm of sigma2.
    """
    J = data.D.shape[1]
    tau2 = float(data.tau2)
    X = np.column_stack([np.ones(len(data.x)), data.x])
    centres = data.D.T @ data.x / data.D.sum(axis=0)
    points = [np.column_stack([data.x, data.y])[data.groups == j] for j in range(J)]

    def effects(position: float) -> tuple[float, float, Array]:
        model = LinearMixedModel(X, data.D, 10.0**position * np.eye(J), tau2)
        found = gls_blup(model, data.y)
        return float(found.fixed[0]), float(found.fixed[1]), found.random

    def frame(position: float) -> Frame:
        level, slope, lift = effects(position)
        ends = centres[:, None] + np.array([-2.2, 2.2])
        return Frame(
            {
                "lines": [
                    np.column_stack([u, level + b + slope * u])
                    for u, b in zip(ends, lift, strict=True)
                ],
                "slope": [(position, slope)],
            },
            {"sigma2": 10.0**position, "slope": slope, "spread of the lines": float(np.ptp(lift))},
        )

    grid = np.linspace(-4, 3, 57)
    curve = [(p, effects(p)[1]) for p in grid]
    pooled = curve[0][1]
    within = curve[-1][1]
    room = 0.15 * (within - pooled)
    low = np.min(points, axis=(0, 1)) - 0.8
    high = np.max(points, axis=(0, 1)) + 0.8
    scatter = Panel(
        "four groups",
        Axis("covariate x", low[0], high[0], round_ticks(low[0], high[0])),
        Axis("response y", low[1], high[1], round_ticks(low[1], high[1])),
        (Mark("points", "specks", "groups", points), Mark("lines", "line", "random")),
    )
    least, most = sorted([pooled - room, within + room])
    slopes = Panel(
        "the slope",
        Axis("variance of the intercepts σ²", -4, 3, {p: power_of_ten(p) for p in (-4, -2, 0, 2)}),
        Axis("slope", least, most, round_ticks(least, most)),
        (
            Mark("curve", "line", "fixed thin", [curve]),
            Mark("slope", "dots", "fixed big"),
            Mark("names", "label", "fixed", [(-3.8, pooled + room / 3, "pooled")]),
            Mark("names", "label", "fixed end", [(2.8, within - room, "within")]),
        ),
    )
    return Dial(
        kind="pooled_to_within",
        name=name,
        alt="A dial for the variance of the intercepts. Left, four groups of points, each with a "
        "line: one common line at the left end, four parallel rising lines at the right end. "
        "Right, the slope against the variance, an S-shaped curve with a dot.",
        knobs=(Knob("Variance σ²", -4, 3, 0.1, -2),),
        panels=(scatter, slopes),
        data={"points": points, "tau2": tau2},
        stops=tuple((float(p),) for p in (-4, -3, -2, -1, 0, 2)),
        caption="The variance of the intercepts, and the slope that goes with it",
        says="Move the variance: at the left end all groups share one line, at the right end "
        "each has its own. The dot on the curve is the slope of the lines beside it.",
        frame=frame,
    )
