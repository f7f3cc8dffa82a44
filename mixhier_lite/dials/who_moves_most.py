"""Dial *who moves most*: arrows from own lines to BLUPs while the prior scales."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..inputs import Array, real
from ..known.mixed import LinearMixedModel, gls_blup
from .dial import Axis, Dial, Frame, Knob, Mark, Panel, power_of_ten, round_ticks

SHARES = (0.5, 0.8, 0.95)


def who_moves_most(
    y: npt.ArrayLike,
    Z: npt.ArrayLike,
    Sigma: npt.ArrayLike,
    tau2: float,
    people: Sequence[str],
    name: str = "who-moves-most",
) -> Dial:
    """Scale the prior covariance of random lines (:prf:ref:`thm-plane-shrinkage`).

    Left, the plane of intercept and slope: an arrow per person, from the own line to the BLUP, and
    contours of the prior. Right, how far each line moves, root mean square over the rows of Z.

    Parameters
    ----------
    y : array_like, shape (J, m)
        One row per person, in milliseconds; each was measured at the same m rows of Z.
    Z : array_like, shape (m, 2)
        A column of ones, and days.
    Sigma : array_like, shape (2, 2)
        The covariance of one person's coefficients at scale one, positive definite.
    tau2 : float
        Variance of the noise.
    people : sequence of str
        J names, numbers as text.
    name : str
        What the ids on the page are made of.

    Returns
    -------
    Dial
        Its position is the decimal logarithm of the scale s in s Sigma.
    """
    rows = real(y, "y", 2)
    Z = real(Z, "Z", 2)
    Sigma = real(Sigma, "Sigma", 2)
    J = len(rows)
    names = list(people)
    G = Z.T @ Z / len(Z)
    X = np.tile(Z, (J, 1))
    eye = np.eye(J)
    D = np.asarray(np.kron(eye, Z), dtype=np.float64)
    b = np.linalg.lstsq(Z, rows.T, rcond=None)[0].T
    turn = np.linspace(0, 2 * np.pi, 41)
    radii = np.sqrt(-2 * np.log(1 - np.array(SHARES)))
    ring = (np.linalg.cholesky(Sigma) @ [np.cos(turn), np.sin(turn)]).T

    def ends(position: float) -> tuple[Array, Array, Array]:
        model = LinearMixedModel(X, D, np.kron(eye, 10.0**position * Sigma), tau2)
        effects = gls_blup(model, rows.ravel())
        c = effects.fixed + effects.random.reshape(J, 2)
        moved = np.sqrt(((c - b) @ G * (c - b)).sum(axis=1))
        return effects.fixed, c, moved

    def frame(position: float) -> Frame:
        alpha, c, moved = ends(position)
        most = int(moved.argmax())
        root = 10.0 ** (position / 2)
        return Frame(
            {
                "arrows": list(np.stack([b, c], axis=1)),
                "hills": [alpha + root * radius * ring for radius in radii],
                "moved": [(position, np.log10(m)) for m in moved],
                "who": [(*b[most], names[most])],
                "most": [(position, np.log10(moved[most]), names[most])],
            },
            {
                "prior sds times": float(root),
                "moves most": float(names[most]),
                "by, ms": float(moved[most]),
                "all, ms": float(np.sqrt((moved**2).mean())),
            },
        )

    alpha = ends(0.0)[0]
    stops = np.linspace(-2, 2, 17)
    moves = np.log10([ends(p)[2] for p in stops])
    paths = [np.column_stack([stops, m]) for m in moves.T]
    (x0, y0) = b.min(axis=0)
    (x1, y1) = b.max(axis=0)
    mx = 0.3 * (x1 - x0)
    my = 0.16 * (y1 - y0)
    plane = Panel(
        "own line → BLUP; contours: 50, 80, 95 %",
        Axis("intercept, ms", x0 - mx, x1 + mx, round_ticks(x0, x1)),
        Axis("slope, ms per day", y0 - my, y1 + my, round_ticks(y0, y1)),
        (
            Mark("hills", "line", "random thin"),
            Mark("own", "dots", "noise open", list(b)),
            Mark("arrows", "line", "random arrow"),
            Mark("centre", "line", "fixed thick", _cross(alpha, mx / 4.5, my / 3)),
            Mark("who", "label", "above"),
        ),
    )
    distance = Panel(
        "how far each line moves",
        Axis("prior sds, times", -2, 2, {-2: "0.1", -1: "0.32", 0: "1", 1: "3.2", 2: "10"}),
        Axis("ms, root mean square", -1, 2.2, {v: power_of_ten(v) for v in (-1, 0, 1, 2)}),
        (
            Mark("paths", "line", "noise thin", paths),
            Mark("moved", "dots", "random"),
            Mark("most", "label", "above"),
        ),
    )
    return Dial(
        kind="who_moves_most",
        name=name,
        alt="A dial for the width of the prior. Left, intercept-slope plane with an arrow per "
        "person from the own line to the BLUP. Right, the movement of each against the width: it "
        "falls as the prior widens, soonest for those far from the centre.",
        knobs=(Knob("Width of the prior", -2, 2, 0.05, 0),),
        panels=(plane, distance),
        data={"b": b, "alpha": alpha, "Sigma": Sigma, "names": names, "ring": ring}
        | {"S": tau2 * np.linalg.inv(Z.T @ Z), "G": G, "radii": radii},
        stops=((-2.0,), (-1.0,), (-0.5,), (0.0,), (0.5,), (1.0,), (2.0,)),
        caption="Who moves most depends on the prior",
        says="Make the prior wider or narrower: an arrow leads from each person's own line to "
        "its BLUP, and the name stands where the arrow is longest.",
        frame=frame,
    )


def _cross(at: Array, across: float, up: float) -> list[list[tuple[float, float]]]:
    x, y = at
    return [[(x - across, y), (x + across, y)], [(x, y - up), (x, y + up)]]
