"""Pictures of a fit: what lies behind its summary."""

import numpy as np
from matplotlib.axes import Axes

from ..after.fit import Fit
from ..errors import refused
from ..fitted.profile import Profile
from ..inputs import Array, index_of, instance, level_of
from .marks import FIXED, NOISE, RANDOM, TRUTH, axes_for, draw_intervals, four_digits

NAMED = 40
"""Levels up to which each one is named on an axis."""


def caterpillar(
    fit: Fit,
    t: int | str = 0,
    column: int | str = 0,
    level: float = 0.95,
    ax: "Axes | None" = None,
) -> Axes:
    """Random effects of one term in order of size, with intervals of their errors.

    Parameters
    ----------
    fit : Fit
    t : int or str
        Which term, counted from 0, or its name.
    column : int or str
        Which column of its Z, or its name.
    level : float
        Of the intervals, whose variance is ``fit.random_cov[t]`` (PEV).
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure without it.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        No such term or column; level not between 0 and 1.
    """
    from scipy.special import ndtri

    ax = axes_for(ax)
    (t, column, name) = _column(fit, t, column)
    effects = fit.random[t][:, column]
    variances = fit.random_cov[t][:, column, column]
    order = np.argsort(-effects, kind="stable")
    half = ndtri((1 + level_of(level)) / 2) * np.sqrt(variances)
    draw_intervals(effects[order], half[order], ax, RANDOM)
    ax.axvline(0, color=NOISE, lw=0.8)
    if len(order) <= NAMED:
        ax.set_yticks(np.arange(len(order)), [str(fit.levels[t][j]) for j in order])
    else:
        ax.set_yticks([])
    ax.set(xlabel=f"effect on {name}", ylabel=fit.term_names[t])
    return ax


def residuals(fit: Fit, ax: "Axes | None" = None) -> Axes:
    """Residuals against fitted values, given the random effects.

    A trend says that X lacks something, a funnel that the noise is not everywhere the same.

    Parameters
    ----------
    fit : Fit
        A fit that holds its rows.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure without it.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = axes_for(ax)
    _fit(fit)
    ax.axhline(0, color=NOISE, lw=0.8)
    ax.scatter(four_digits(fit.fitted), four_digits(fit.residuals), s=14, color=NOISE)
    ax.set(xlabel="fitted value", ylabel="residual")
    return ax


def qq(
    fit: Fit, t: int | str | None = None, column: int | str = 0, ax: "Axes | None" = None
) -> Axes:
    """Quantiles of standardised residuals, or of random effects, against a normal's.

    Each is divided by the standard deviation that it has under the model, so that the dashed line
    is where they would lie. Predicted random effects look more normal than the true ones are,
    since the noise in a group's mean hides their shape, :prf:ref:`thm-shape`.

    Parameters
    ----------
    fit : Fit
    t : int or str, optional
        Which term; the residuals of the rows without it.
    column : int or str
        Which column of its Z.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure without it.

    Returns
    -------
    matplotlib.axes.Axes
    """
    from scipy.special import ndtri

    ax = axes_for(ax)
    _fit(fit)
    if t is None:
        values = _finite(fit.rows_table()["standardised"])
        of = "residual"
        color = NOISE
    else:
        t, column, name = _column(fit, t, column)
        of = f"effect on {name}"
        color = RANDOM
        spread = np.sqrt(np.diagonal(fit.cond_var[t], axis1=1, axis2=2)[:, column])
        own = np.sqrt(np.clip(fit.Sigma[t][column, column] - spread**2, 0.0, None))
        told = own > 0  # the standard deviation of a BLUP; a level without rows has none
        values = fit.random[t][told, column] / own[told]
    values = np.sort(values)
    normal = ndtri((np.arange(len(values)) + 0.5) / max(len(values), 1))
    ends = np.array([-1.0, 1.0]) * (np.abs(normal).max(initial=1.0) + 0.2)
    ax.plot(four_digits(ends), four_digits(ends), color=TRUTH, ls="--", lw=1)
    ax.scatter(four_digits(normal), four_digits(values), s=14, color=color)
    ax.set(xlabel="quantile of a standard normal", ylabel=f"{of}, standardised")
    return ax


def shrinkage(fit: Fit, t: int | str = 0, ax: "Axes | None" = None) -> Axes:
    """How far each level moves from what its own rows say to its BLUP.

    With two columns or more it is an arrow in the plane of the first two, with one a line from
    left to right. Levels whose rows do not tell all columns apart have no own estimate.

    Parameters
    ----------
    fit : Fit
        A fit that holds its rows.
    t : int or str
        Which term, counted from 0, or its name.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure without it.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = axes_for(ax)
    (t, _, name) = _column(fit, t, 0)
    own = _own_estimates(fit, t)
    blup = fit.random[t]
    told = np.isfinite(own).all(axis=1)
    own = four_digits(own[told])
    blup = four_digits(blup[told])
    if own.shape[1] == 1:
        ends = np.column_stack([own[:, 0], blup[:, 0]]).T
        ax.plot([0, 1], ends, color=NOISE, lw=1)
        ax.scatter(np.zeros(len(own)), own, s=20, color=NOISE, zorder=3)
        ax.scatter(np.ones(len(own)), blup, s=20, color=RANDOM, zorder=3)
        ax.set_xticks([0, 1], ["own rows", "BLUP"])
        ax.set(xlim=(-0.2, 1.2), ylabel=f"effect on {name}")
        return ax
    for start, end in zip(own, blup, strict=True):
        arrow = {"arrowstyle": "->", "color": NOISE, "shrinkA": 3, "shrinkB": 3}
        ax.annotate("", end[:2], start[:2], arrowprops=arrow)
    ax.scatter(own[:, 0], own[:, 1], s=20, color=NOISE, label="own rows")
    ax.scatter(blup[:, 0], blup[:, 1], s=20, color=RANDOM, label="BLUP")
    ax.legend()
    ax.set(xlabel=f"effect on {name}", ylabel=f"effect on {_column(fit, t, 1)[2]}")
    return ax


def profile_zeta(profile: Profile, ax: "Axes | None" = None) -> Axes:
    """The signed root of the rise of the criterion, for every parameter on one axis.

    Each parameter is measured from its estimate in units of half its interval of 68 %. Where the
    likelihood is as a normal's the line is straight; where it bends, an interval of plus and minus
    two standard errors is wrong.

    Parameters
    ----------
    profile : Profile
        What ``fit.profile()`` returns.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure without it.

    Returns
    -------
    matplotlib.axes.Axes
    """
    instance(profile, Profile, "profile", "pass fit.profile()")
    ax = axes_for(ax)
    ax.axline((0, 0), slope=1, color=TRUTH, ls="--", lw=1)
    ends = {}
    for curve in profile.curves:
        low, high = curve.interval(0.6827)
        inside = np.abs(curve.zeta) <= 3
        at = four_digits((curve.values[inside] - curve.estimate) / ((high - low) / 2))
        zeta = four_digits(curve.zeta[inside])
        color = FIXED if curve.bounds == (-np.inf, np.inf) else RANDOM
        ax.plot(at, zeta, color=color, lw=1.2)
        ends[curve.name] = (at[-1], zeta[-1]), color
    for k, name in enumerate(sorted(ends, key=lambda name: ends[name][0], reverse=True)):
        end, color = ends[name]
        ax.annotate(
            name,
            end,
            (1.03, 0.97 - 0.09 * k),
            textcoords="axes fraction",
            va="center",
            color=color,
            arrowprops={"arrowstyle": "-", "color": NOISE, "lw": 0.5, "relpos": (0, 0.5)},
        )
    ax.set(xlabel="distance from the estimate, in halves of an interval of 68 %", ylabel="zeta")
    return ax


def forest(
    fit: Fit, level: float = 0.95, method: str = "satterthwaite", ax: "Axes | None" = None
) -> Axes:
    """What each study says alone, its BLUP, the mean of all, and the mean of a study to come.

    Studies stand in the order of the rows. Where X has more than an intercept there is no one
    mean, and the last two are left out.

    Parameters
    ----------
    fit : Fit
        A fit that holds its rows, each of them a level of one term, with an intercept only: a
        meta-analysis, ``lmer("yi ~ 1 + (1 | study)", data, tau2=1, weights=1 / data["vi"])``.
    level : float
        Of the intervals: normal and given the variances, as in ``fit.predict``, but the mean's.
    method : {"satterthwaite", "kenward-roger", "knapp-hartung"}
        The interval of the mean is by Student's t, as ``fit.contrast`` has it.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure without it.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        More than one term, or columns of Z; studies of several rows; no rows; an unknown method.
    """
    from scipy.special import ndtri

    ax = axes_for(ax)
    (_, _, name) = _column(fit, 0, 0)
    blup = fit.fitted
    rows = fit.rows
    q = ndtri((1 + level_of(level)) / 2)
    assert rows is not None  # fitted would have refused
    codes = rows.terms[0].codes
    if not (len(fit.levels) == 1 and fit.gram.blocks[0].constant and fit.random[0].shape[1] == 1):
        raise refused("no-studies", given=f"{', '.join(fit.term_names)}; effects on {name}")
    if len(np.unique(codes)) < len(codes):
        raise refused("studies-of-several-rows", rows=len(codes), n_levels=len(np.unique(codes)))
    noise = np.sqrt(fit.tau2 / (np.ones(fit.n) if rows.weights is None else rows.weights))
    error = np.sqrt(fit.predict(rows.X, rows.terms).var_mean)
    draw_intervals(rows.y, q * noise, ax, NOISE, -0.15)
    draw_intervals(blup, q * error, ax, RANDOM, 0.15)
    named = [str(fit.levels[0][j]) for j in codes] if fit.n <= NAMED else []
    at = [float(row) for row in range(len(named))]
    shown = ax.containers[-2:]
    if fit.gram.p == 1 and (rows.X == 1).all():
        mean = fit.contrast([1.0], method=method)
        half = mean.interval(level)[:, 1] - mean.estimate
        wide = q * np.sqrt(fit.predict([[1.0]]).var_group)
        draw_intervals(mean.estimate, half, ax, FIXED, fit.n + 0.5)
        draw_intervals(mean.estimate, wide, ax, RANDOM, fit.n + 1.5)
        ax.axvline(four_digits(mean.estimate)[0], color=FIXED, lw=0.8)
        named = [*named, "mean", "a new study's mean"]
        at = [*at, fit.n + 0.5, fit.n + 1.5]
    ax.set_yticks(at, named)
    ax.legend(shown, ["own estimate", "BLUP"], loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    ax.set(xlabel="estimate", ylabel=fit.term_names[0])
    return ax


def _fit(fit: object) -> None:
    instance(fit, Fit, "fit", "pass what fit(y, X, terms) or lmer(formula, data) returns")


def _column(fit: Fit, t: int | str, column: int | str) -> tuple[int, int, str]:
    """The numbers of one term and of one of its columns, which must be there, and its name."""
    _fit(fit)
    t = fit.term_number(t)
    names = fit.gram.blocks[t].column_names
    column = index_of(column, "column", f"column of {fit.term_names[t]}", names)
    name = names[column]
    return t, column, "the intercept" if name in ("1", "(Intercept)") else name


def _finite(values: object) -> Array:
    found = np.asarray(values, dtype=np.float64)
    return found[np.isfinite(found)]


def _own_estimates(fit: Fit, t: int) -> Array:
    """Least squares of each level's own rows on Z, less what everything else explains: (J, q)."""
    rest = fit.residuals  # of the rows that were used
    rows = fit.rows
    assert rows is not None  # residuals would have refused
    term = rows.terms[t]
    Z = np.ones((term.n, 1)) if term.Z is None else term.Z
    own = rest + np.einsum("nq,nq->n", Z, fit.random[t][term.codes])
    weights = np.ones(term.n) if rows.weights is None else rows.weights
    out = np.full(fit.random[t].shape, np.nan)
    for j in range(len(out)):
        mine = term.codes == j
        root = np.sqrt(weights[mine])
        if np.linalg.matrix_rank(Z[mine]) == Z.shape[1]:
            out[j] = np.linalg.lstsq(Z[mine] * root[:, None], own[mine] * root, rcond=None)[0]
    return out
