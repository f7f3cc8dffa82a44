"""The visual language of the book: one style, one meaning for each colour."""

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from cycler import cycler
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import is_color_like
from matplotlib.image import AxesImage

from ..errors import refused
from ..inputs import Array, flag, instance, numbers, real, same_rows

FIXED = "#0072B2"
"""Blue: whatever belongs to the fixed effects."""
RANDOM = "#C04F00"
"""Orange: whatever belongs to the random effects."""
NOISE = "#767676"
"""Grey: noise, data, and what stands in the background."""
TRUTH = "#000000"
"""Black, dashed: the truth of a simulation."""
GROUPS = ("#0B5A3C", "#C2389A", "#1F6FE0", "#855B00")
"""A colour for each of the four groups, told apart by every common form of colour vision."""
MARKERS = ("o", "s", "^", "D")
"""A marker for each of the four groups, so that colour is never the only sign."""


def style() -> None:
    """Set the book's figure style, and byte-stable SVG output inside a notebook."""
    mpl.rcParams.update(mpl.rcParamsDefault)
    mpl.rcParams.update(
        {
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlesize": "medium",
            "axes.titlelocation": "left",
            "axes.prop_cycle": cycler(color=[FIXED, RANDOM, NOISE]),
            "figure.constrained_layout.use": True,
            "figure.figsize": (7.0, 3.6),
            "font.family": "STIXGeneral",  # comes with matplotlib, and its formulas match
            "font.size": 12.5,
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "mathtext.fontset": "stix",
            "savefig.facecolor": "white",
            "svg.hashsalt": "mixhier_lite",
        }
    )
    try:
        from IPython.core.getipython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ModuleNotFoundError:
        return
    if get_ipython() is not None:
        set_matplotlib_formats("svg", metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]


def four_digits(values: npt.ArrayLike) -> Array:
    """Round to four significant digits: what is drawn is the same on every machine."""
    values = numbers(values, "values")
    live = np.isfinite(values) & (values != 0)
    exponent = np.floor(np.log10(np.where(live, np.abs(values), 1.0)))
    unit = 10.0 ** np.clip(exponent - 3, -300, 300)
    rounded: Array = np.round(np.where(live, values, 0.0) / unit) * unit
    return np.where(live, rounded, values)


def _on(ax: object) -> None:
    """Refuse what nothing can be drawn on."""
    instance(ax, Axes, "ax", "make axes first: fig, ax = plt.subplots()")


def axes_for(ax: "Axes | None") -> Axes:
    """The axes that were given, or those of a new figure."""
    if ax is None:
        return plt.subplots()[1]
    _on(ax)
    return ax


def draw_groups(
    x: npt.ArrayLike, y: npt.ArrayLike, groups: npt.ArrayLike, ax: Axes, names: bool = True
) -> None:
    """Scatter y against x, a colour and a marker for each of up to four groups.

    Parameters
    ----------
    x, y : array_like, shape (n,)
    groups : array_like, shape (n,)
        Labels 0, 1, 2, 3; the text counts its groups from 1.
    ax : matplotlib.axes.Axes
    names : bool
        Write each group's name at its centre.
    """
    _on(ax)
    names = flag(names, "names")
    x = real(x, "x", 1)
    y = real(y, "y", 1)
    codes = real(groups, "groups", 1)
    same_rows(x=x, y=y, groups=codes)
    if not np.isin(codes, range(len(GROUPS))).all():
        raise refused(
            "label-without-colour",
            known=list(range(len(GROUPS))),
            given=sorted(set(codes.tolist()))[:10],
        )
    x = four_digits(x)
    y = four_digits(y)
    groups = codes.astype(int)
    for j in np.unique(groups):
        rows = groups == j
        ax.scatter(x[rows], y[rows], s=18, color=GROUPS[j], marker=MARKERS[j], alpha=0.75, lw=0)
        if names:
            ax.annotate(
                f"group {j + 1}",
                (x[rows].mean(), y[rows].max()),
                xytext=(0, 6),
                textcoords="offset points",
                ha="center",
                color=GROUPS[j],
            )


def draw_matrix(matrix: npt.ArrayLike, ax: Axes, title: str = "") -> AxesImage:
    """Draw a symmetric matrix as an image, zero left blank, on a scale shared by sign."""
    _on(ax)
    matrix = four_digits(real(matrix, "matrix", 2))
    if not matrix.size:
        raise refused("matrix-without-entries", shape=matrix.shape)
    limit = float(np.abs(matrix).max(initial=0.0)) or 1.0
    image = ax.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    ax.set(title=title, xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return image


def draw_intervals(
    centre: npt.ArrayLike, half_width: npt.ArrayLike, ax: Axes, color: str, shift: float = 0.0
) -> None:
    """Draw a caterpillar plot: a point and a horizontal interval for each entry, top to bottom.

    Parameters
    ----------
    centre, half_width : array_like, shape (J,)
        In units of the horizontal axis.
    ax : matplotlib.axes.Axes
    color : str
        ``FIXED`` or ``RANDOM``.
    shift : float
        Vertical offset in rows, to set two kinds of interval side by side.
    """
    _on(ax)
    centre = real(centre, "centre", 1)
    half_width = real(half_width, "half_width", 1)
    same_rows(centre=centre, half_width=half_width)
    if not isinstance(color, str | tuple) or not is_color_like(color):
        raise refused("not-a-colour", given=color)
    if (half_width < 0).any():
        raise refused("negative-half-width", smallest=float(half_width.min()))
    centre = four_digits(centre)
    half_width = four_digits(half_width)
    row = np.arange(len(centre)) + float(real(shift, "shift", 0))
    ax.errorbar(centre, row, xerr=half_width, fmt="o", ms=4, color=color, capsize=0)
    if not ax.yaxis_inverted():
        ax.invert_yaxis()
