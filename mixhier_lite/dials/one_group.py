"""Dial *one group*: how much of its own mean a group keeps, n / (n + lambda)."""

import numpy as np

from ..inputs import Array, positive
from ..known.flat import flat
from ..known.hierarchical import posterior
from ..known.mixed import LinearMixedModel
from .dial import Axis, Dial, Frame, Knob, Mark, Panel, round_ticks

MOST = 30


def one_group(mean: float = 4.0, tau2: float = 9.0, name: str = "one-group") -> Dial:
    """Turn the rows n and the penalty lambda of a single group (:prf:ref:`thm-shrinkage`).

    Left, the share n / (n + lambda) that is kept, for groups of every size. Right, the prior,
    what the rows of the group say, and the posterior, whose peak lies at that share of the mean.

    Parameters
    ----------
    mean : float
        Mean residual of the group, > 0.
    tau2 : float
        Variance of the noise, > 0.
    name : str
        What the ids on the page are made of.

    Returns
    -------
    Dial
        Its positions are n, and the decimal logarithm of lambda = tau2 / sigma2.
    """
    mean = positive(mean, "mean")
    tau2 = positive(tau2, "tau2")
    sizes = np.arange(1, MOST + 1)
    reach = mean + 2 * float(np.sqrt(tau2))
    at = np.linspace(-reach, reach, 81)

    def effect(n: int, sigma2: float) -> tuple[float, float]:
        """Posterior mean and variance of the effect, from n rows with this mean."""
        model = LinearMixedModel(np.zeros((n, 0)), np.ones((n, 1)), np.array([[sigma2]]), tau2)
        found = posterior(model, np.full(n, mean), flat(0))
        return float(found.random[0]), float(found.random_cov[0, 0])

    def hill(centre: float, variance: float) -> list[Array]:
        return [np.column_stack([at, np.exp(-((at - centre) ** 2) / 2 / variance)])]

    def frame(rows: float, position: float) -> Frame:
        n = int(rows)
        lam = 10.0**position
        sigma2 = tau2 / lam
        centre, variance = effect(n, sigma2)
        return Frame(
            {
                "shares": [[(k, effect(int(k), sigma2)[0] / mean) for k in sizes]],
                "share": [(n, centre / mean)],
                "prior": hill(0.0, sigma2),
                "rows": hill(mean, tau2 / n),
                "posterior": hill(centre, variance),
                "peak": [(centre, 1.0)],
            },
            {"rows": n, "λ": lam, "share kept": centre / mean, "prediction": centre},
        )

    shares = Panel(
        "share of its mean that a group keeps",
        Axis("rows of the group, n", 0, MOST, {k: f"{k}" for k in (0, 10, 20, 30)}),
        Axis("n/(n + λ)", 0, 1.05, {0.0: "0", 0.5: "0.5", 1.0: "1"}),
        (Mark("shares", "line", "random"), Mark("share", "dots", "random big")),
    )
    densities = Panel(
        "the same share, as Bayes sees it",
        Axis("effect of the group", -reach, reach, round_ticks(-reach, reach)),
        Axis("density, peak = 1", 0, 1.5, {0.0: "0", 1.0: "1"}),
        (
            Mark("prior", "line", "noise"),
            Mark("rows", "line", "truth"),
            Mark("posterior", "line", "random"),
            Mark("peak", "dots", "random big"),
            Mark("names", "label", "noise", [(at[1], 1.38, "grey: prior")]),
            Mark("names", "label", "", [(at[1], 1.26, "dashed: its rows")]),
            Mark("names", "label", "random", [(at[1], 1.14, "posterior")]),
        ),
    )
    return Dial(
        kind="one_group",
        name=name,
        alt="Two dials, the rows of a group and the penalty. Left, the share of its mean that a "
        "group keeps, a curve that rises with its rows. Right, prior, rows and posterior; the "
        "posterior's peak lies at that share of the mean.",
        knobs=(Knob("Rows n", 1, MOST, 1, 4), Knob("Penalty λ", -1, 2, 0.05, 0.6)),
        panels=(shares, densities),
        data={"mean": mean, "tau2": tau2, "at": at},
        stops=tuple((float(n), 0.6) for n in (1, 2, 4, 10, 30)),
        caption="Rows and share, at a penalty of about four rows",
        says="Give the group more rows, or raise the penalty. The dot on the curve and the peak "
        "of the posterior stand at the same share of the group's mean.",
        frame=frame,
    )
