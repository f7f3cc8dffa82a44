"""The picture that a message shows beside a link to the book: ``python book/_ext/card.py``.

Drawn from the book's own data in its own typeface and colours, and kept like the figures of the
notebooks: a build takes it as it is, a test draws it anew and compares.
"""

import tempfile
from pathlib import Path

import typefaces
from fontTools.ttLib import TTFont
from pages import BOOK, ROOT

CARD = BOOK / "_static" / "card.png"
SIZE = (1200, 630)  # pixels; what those who show it ask for
TITLE = "A mixed model\nis a hierarchical\nmodel"
IDEA = "BLUP, posterior mean, ridge regression:\nthree recipes, one answer."
MORE = "A book with proofs, code and tests"
ALT = (
    "Four groups of points, each with the line that BLUP gives it. The line of the posterior mean, "
    "dotted, lies on top of it. Beside them: A mixed model is a hierarchical model."
)


def lines():
    """Fit the book's four groups in two ways; return data and heights of the lines at the data."""
    import numpy as np

    from mixhier_lite import LinearMixedModel, flat, gls_blup, posterior
    from mixhier_lite.datasets import four_groups

    data = four_groups(np.random.default_rng(1))
    X = np.column_stack([np.ones(len(data.x)), data.x])
    model = LinearMixedModel(X, data.D, np.eye(4) * data.beta.var(ddof=1), data.tau2)
    found = gls_blup(model, data.y), posterior(model, data.y, flat(2))
    return data, [X @ effects.fixed + data.D @ effects.random for effects in found]


def face(weight, folder):
    """Write the text face as a file that matplotlib reads."""
    from matplotlib.font_manager import FontProperties

    name = typefaces.Style("normal", weight).name(typefaces.TEXT)
    font = TTFont(typefaces.kept(ROOT / "_build" / "typefaces") / typefaces.FOLDER / name)
    font.flavor = None
    font.save(folder / f"{weight}.ttf")
    return FontProperties(fname=folder / f"{weight}.ttf")


def draw(file):
    """Draw the card into a file, the same bytes every time."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from mixhier_lite import plot

    plot.style()
    data, (blup, mean) = lines()
    fig = Figure(figsize=(SIZE[0] / 100, SIZE[1] / 100), dpi=100, layout="none")
    FigureCanvasAgg(fig)
    ax = fig.add_axes((0.5, 0.09, 0.46, 0.83))
    plot.draw_groups(data.x, data.y, data.groups, ax, names=False)
    for j in range(4):
        rows = np.flatnonzero(data.groups == j)
        ends = rows[[data.x[rows].argmin(), data.x[rows].argmax()]]
        at = plot.four_digits(data.x[ends])
        ax.plot(at, plot.four_digits(blup[ends]), color=plot.RANDOM, lw=9, alpha=0.45)
        ax.plot(at, plot.four_digits(mean[ends]), color="black", lw=2.8, ls=(0, (1.5, 1.5)))
    ax.set(xticks=[], yticks=[])
    with tempfile.TemporaryDirectory() as folder:
        bold = face(700, Path(folder))
        plain = face(400, Path(folder))
        for y, text, font, size, color in (
            (0.92, TITLE, bold, 42, "black"),
            (0.42, IDEA, plain, 19, "black"),
            (0.14, MORE, plain, 16, plot.NOISE),
        ):
            fig.text(0.05, y, text, font=font, size=size, color=color, va="top", linespacing=0.92)
        for y, text, color in (
            (0.97, "orange: BLUP", plot.RANDOM),
            (0.9, "dotted: posterior mean", "black"),
        ):
            ax.text(
                0.03, y, text, font=plain, size=17, color=color, transform=ax.transAxes, va="top"
            )
        fig.savefig(file, metadata={"Software": None})


if __name__ == "__main__":
    draw(CARD)
