"""Dial *one dial, three names*: a penalty, a prior's width and a degree of pooling."""

import numpy as np
import numpy.typing as npt

from ..errors import refused
from ..inputs import Array
from ..known.flat import flat
from ..known.hierarchical import posterior
from ..known.mixed import LinearMixedModel, gls_blup
from ..known.ridge import ridge
from .dial import Axis, Dial, Frame, Knob, Mark, Panel, power_of_ten, round_ticks

SIZE = (228, 200)


def three_names(model: LinearMixedModel, y: npt.ArrayLike, name: str = "three-names") -> Dial:
    """Turn lambda = tau2 / sigma2 from no pooling to complete pooling (:prf:ref:`thm-limits`).

    Three panels with one vertical axis: the ridge path, the prior with posterior means on it,
    and mean residuals pulled to BLUPs. Python takes them from `ridge`, `posterior` and
    `gls_blup`; the page solves three different systems of equations.

    Parameters
    ----------
    model : LinearMixedModel
        D an indicator with rows in every group. Of the variances only tau2 is used.
    y : array_like, shape (n,)
    name : str
        What the ids on the page are made of.

    Returns
    -------
    Dial
        Its position is the decimal logarithm of lambda.

    Raises
    ------
    InputError
        D is no indicator of groups that all have rows.
    """
    y = model.response(y)
    X = model.X
    D = model.D
    tau2 = model.tau2
    n = D.sum(axis=0)
    J = model.J
    if not (np.isin(D, (0, 1)).all() and (D.sum(axis=1) == 1).all() and n.all()):
        raise refused("dial-needs-indicator")

    def effects(position: float) -> tuple[Array, Array, Array, Array]:
        turned = LinearMixedModel(X, D, tau2 / 10.0**position * np.eye(J), tau2)
        blup = gls_blup(turned, y)
        rest = D.T @ (y - X @ blup.fixed) / n
        return (
            ridge(turned, y).random,
            posterior(turned, y, flat(model.p)).random,
            blup.random,
            rest,
        )

    grid = np.linspace(-2, 3, 41)
    paths = np.array([effects(p)[0] for p in grid])
    start = 0.05 * float(np.clip(round(20 * np.log10(tau2 / np.diag(model.Sigma).mean())), -40, 60))
    reach = np.abs(paths).max()
    low = 1.15 * min(paths.min(), -reach / 2)
    high = 1.15 * max(paths.max(), reach / 2)
    at = np.linspace(low, high, 49)

    def frame(position: float) -> Frame:
        sigma2 = tau2 / 10.0**position
        by_ridge, by_bayes, blup, rest = effects(position)
        rows = np.arange(1, J + 1)
        hill = np.exp(-(np.square([*at, *by_bayes])) / 2 / sigma2)
        return Frame(
            {
                "cursor": [[(position, low), (position, high)]],
                "ridge": [(position, b) for b in by_ridge],
                "prior": [np.column_stack([hill[:-J], at])],
                "posterior": list(np.column_stack([hill[-J:], by_bayes])),
                "pull": [[(j, r), (j, b)] for j, r, b in zip(rows, rest, blup, strict=True)],
                "rest": list(zip(rows, rest, strict=True)),
                "blup": list(zip(rows, blup, strict=True)),
            },
            {
                "penalty λ": 10.0**position,
                "prior sd": float(np.sqrt(sigma2)),
                "lowest to highest effect": float(blup.max() - blup.min()),
            },
        )

    effect = Axis("effect", low, high, round_ticks(low, high))
    ticks = {float(p): power_of_ten(p) for p in range(-2, 4, 2)}
    return Dial(
        kind="three_names",
        name=name,
        alt="A dial for the penalty. Three panels with one vertical axis: ridge paths of groups "
        "that run to zero, the prior's bell with the posterior means on it, and mean residuals "
        "pulled to BLUPs. The dots are at equal heights throughout.",
        knobs=(Knob("Penalty λ", -2, 3, 0.05, start),),
        panels=(
            Panel(
                "the penalty: a ridge path",
                Axis("λ, in records", -2, 3, ticks),
                effect,
                (
                    Mark("paths", "line", "random thin", list(_paths(grid, paths))),
                    Mark("cursor", "line", "noise thin"),
                    Mark("ridge", "dots", "random"),
                ),
                *SIZE,
            ),
            Panel(
                "the prior: posterior means",
                Axis("density, peak = 1", 0, 1.05, {0: "0", 0.5: "0.5", 1: "1"}),
                effect,
                (Mark("prior", "line", "noise"), Mark("posterior", "dots", "random")),
                *SIZE,
            ),
            Panel(
                "the pooling: BLUPs",
                Axis("group; open: mean residual", 0.3, J + 0.7, _whole(J)),
                effect,
                (
                    Mark("pull", "line", "noise thin"),
                    Mark("rest", "dots", "noise open"),
                    Mark("blup", "dots", "random"),
                ),
                *SIZE,
            ),
        ),
        data={"n": n, "XX": X.T @ X, "DX": D.T @ X, "Xy": X.T @ y, "Dy": D.T @ y}
        | {"tau2": tau2, "at": at, "low": low, "high": high},
        stops=tuple((float(p),) for p in range(-2, 4)),
        caption="From no pooling to complete pooling: one column of numbers for each name",
        says="Move the penalty: each panel solves equations of its own, and the dots of all "
        "three stay at the same heights.",
        frame=frame,
        digits=10,  # at a small lambda the sums almost cancel
    )


def _paths(grid: Array, paths: Array) -> Array:
    """One path per group, shape (J, stops, 2)."""
    return np.stack([np.broadcast_to(grid, paths.T.shape), paths.T], axis=2)


def _whole(J: int) -> dict[float, str]:
    """About eight whole numbers from 1 to J."""
    return {j: f"{j}" for j in range(1, J + 1, 1 + J // 12)}
