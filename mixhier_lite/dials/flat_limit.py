"""Dial *flat-prior limit*: a prior on alpha widens, and its posterior becomes the flat one."""

import numpy as np
import numpy.typing as npt

from ..known.flat import flat
from ..known.hierarchical import gaussian, posterior
from ..known.mixed import LinearMixedModel
from .dial import Axis, Dial, Frame, Knob, Mark, Panel, power_of_ten, round_ticks


def flat_limit(model: LinearMixedModel, y: npt.ArrayLike, name: str = "flat-limit") -> Dial:
    """Turn the variance kappa of the prior alpha ~ N(0, kappa I) (:prf:ref:`thm-flat-limit`).

    Left, the first fixed effect: prior, posterior and the posterior under a flat prior, each
    scaled to height one. Right, the largest gap of the posterior mean and covariance of alpha.

    Parameters
    ----------
    model : LinearMixedModel
        X of full column rank; alpha_hat not zero.
    y : array_like, shape (n,)
    name : str
        What the ids on the page are made of.

    Returns
    -------
    Dial
        Its position is the decimal logarithm of kappa.
    """
    limit = posterior(model, y, flat(model.p))
    centre = limit.fixed[0]
    sd = float(np.sqrt(limit.fixed_cov[0, 0]))
    low, high = sorted((-0.25 * centre, centre + np.sign(centre) * 4 * sd))
    at = np.linspace(low, high, 81)

    def hill(mean: float, variance: float) -> list[npt.NDArray[np.float64]]:
        return [np.column_stack([at, np.exp(-((at - mean) ** 2) / 2 / variance)])]

    def frame(position: float) -> Frame:
        kappa = 10.0**position
        proper = posterior(model, y, gaussian(np.zeros(model.p), kappa * np.eye(model.p)))
        mean = float(np.abs(proper.fixed - limit.fixed).max())
        covariance = float(np.abs(proper.fixed_cov - limit.fixed_cov).max())
        return Frame(
            {
                "prior": hill(0.0, kappa),
                "posterior": hill(proper.fixed[0], proper.fixed_cov[0, 0]),
                "mean": [(position, np.log10(mean))],
                "covariance": [(position, np.log10(covariance))],
            },
            {
                "κ": kappa,
                "prior sd": 10 ** (position / 2),
                "gap of the mean": mean,
                "gap of the covariance": covariance,
            },
        )

    positions = np.linspace(-2, 6, 33)
    frames = [frame(p) for p in positions]
    paths = {part: [f.marks[part][0] for f in frames] for part in ("mean", "covariance")}
    bottom = float(np.floor(min(paths["covariance"][-1][1], paths["mean"][-1][1])))
    top = float(np.ceil(max(paths["covariance"][0][1], paths["mean"][0][1])))
    mean, covariance = (path[20] for path in paths.values())  # at kappa = 1000
    density = Panel(
        "first fixed effect",
        Axis("α₁", low, high, round_ticks(low, high)),
        Axis("density, peak = 1", 0, 1.5, {0.0: "0", 1.0: "1"}),
        (
            Mark("prior", "line", "noise"),
            Mark("flat", "line", "truth", hill(centre, sd**2)),
            Mark("posterior", "line", "fixed"),
            Mark("names", "label", "noise", [(at[1], 1.14, "grey: prior")]),
            Mark("names", "label", "fixed", [(at[1], 1.38, "posterior")]),
            Mark("names", "label", "", [(at[1], 1.26, "dashed: flat prior")]),
        ),
    )
    gaps = Panel(
        "largest gap to the flat prior",
        Axis("prior variance κ", -2, 6, {p: power_of_ten(p) for p in range(-2, 7, 2)}),
        Axis("gap", bottom, top, {v: power_of_ten(v) for v in np.arange(bottom, top + 1, 2)}),
        (
            Mark("paths", "line", "fixed", list(paths.values())),
            Mark("names", "label", "fixed", [(mean[0] + 0.15, mean[1] + 0.15, "mean")]),
            Mark(
                "names", "label", "fixed end", [(covariance[0], covariance[1] - 0.7, "covariance")]
            ),
            Mark("mean", "dots", "fixed"),
            Mark("covariance", "dots", "fixed"),
        ),
    )
    return Dial(
        kind="flat_limit",
        name=name,
        alt="A dial for the prior variance. Left, prior, posterior and flat-prior posterior of the "
        "first fixed effect. Right, the gap between the posteriors against the prior variance, "
        "both on log axes: two lines that fall with slope minus one.",
        knobs=(Knob("Prior variance κ", -2, 6, 0.1, 1),),
        panels=(density, gaps),
        data={"alpha": limit.fixed, "cov": limit.fixed_cov, "at": at},
        stops=tuple((float(p),) for p in range(-2, 7, 2)),
        caption="Ten times the variance of the prior, a tenth of the gap",
        says="Widen the prior: the posterior moves onto the dashed one of the flat prior, and "
        "the two dots on the right say how far it has still to go.",
        frame=frame,
    )
