"""A fit in words and tables."""

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from scipy.special import ndtri

from ..inputs import Array, flag, level_of
from .estimates import Estimates
from .satterthwaite import is_cheap, satterthwaite
from .student import in_units_of, p_of_t, quantile_of_t
from .tables import Origin


@dataclass(frozen=True)
class Tests:
    """Fixed effects against zero, shape (p,) each."""

    df: Array
    t: Array
    p: Array
    interval: Array
    """Shape (p, 2)."""
    note: str
    """How far the errors of the variances are allowed for."""


def tests(model: Estimates, level: float, df: bool | None) -> Tests:
    """T tests by Satterthwaite's degrees of freedom, or z tests, whose df are infinite.

    ``df`` says which; None is t where that costs no more than the fit did.
    """
    by_t = is_cheap(model) if df is None else flag(df, "df")
    freedom = satterthwaite(model).df if by_t else np.full(len(model.fixed), np.inf)
    t = in_units_of(model.fixed_se, model.fixed)
    half = quantile_of_t(freedom, (1 + level_of(level)) / 2) * model.fixed_se
    return Tests(
        df=freedom,
        t=t,
        p=p_of_t(t, freedom),
        interval=np.column_stack([model.fixed - half, model.fixed + half]),
        note=_note(model, by_t),
    )


def _note(model: Estimates, by_t: bool) -> str:
    """What stands behind the p-values."""
    if not by_t:
        return "z tests, with the variances taken as known: df=True allows for their errors"
    note = "t tests with Satterthwaite's degrees of freedom"
    if model.known_tau2 is not None:
        note += "; a noise that is known has no error"
    if model.singular or model.tau2 == 0:
        note += "; what is estimated as exactly zero is taken as known"
    return note


def fixed_table(model: Estimates, origin: Origin, level: float, df: bool | None) -> Any:
    """Data frame of the fixed effects: estimate, se, df, t, p and interval."""
    found = tests(model, level, df)
    columns = {"estimate": model.fixed, "se": model.fixed_se}
    columns |= {"df": found.df, "t": found.t, "p": found.p}
    columns |= {"lower": found.interval[:, 0], "upper": found.interval[:, 1]}
    return origin.table({"column": np.array(model.names, dtype=object)}, columns)


def wald(model: Estimates, level: float) -> Array:
    """Wald intervals of the fixed effects, shape (p, 2)."""
    half = ndtri((1 + level_of(level)) / 2) * model.fixed_se
    return np.column_stack([model.fixed - half, model.fixed + half])


def random_table(model: Estimates, origin: Origin, t: int) -> Any:
    """Data frame of the random effects of one term, with both standard deviations."""
    block = model.gram.blocks[t]
    q = model.gram.blocks[t].q
    known = np.sqrt(np.einsum("jkk->jk", model.cond_var[t]))
    full = np.sqrt(np.einsum("jkk->jk", model.random_cov[t]))
    columns: dict[str, Any] = {}
    for k, name in enumerate(block.column_names):
        suffix = "" if q == 1 else f" of {name}"
        columns[f"effect{suffix}"] = model.random[t][:, k]
        columns[f"sd, alpha known{suffix}"] = known[:, k]
        columns[f"sd{suffix}"] = full[:, k]
    columns["rows"] = block.rows.astype(int)
    return origin.table({model.term_names[t]: block.levels}, columns)


FIXED = ("column", "estimate", "se", "df", "t", "p", "95 %")


@dataclass(frozen=True)
class About:
    """What a summary says beside the estimates."""

    formula: str | None
    dropped: int
    """Rows left out for a missing value."""
    aliased: tuple[str, ...]
    """Columns left out as combinations of others."""


def text(model: Estimates, about: About, df: bool | None = None) -> str:
    """Write the summary as plain text."""
    title, facts, spread, effects, remarks = parts(model, about, df)
    lines = [title, *facts, "", "How much groups differ"]
    lines += _aligned([("term", "column", "sd", "correlation"), *spread])
    if effects:
        lines += ["", "Fixed effects"]
        lines += _aligned([FIXED, *effects])
    return "\n".join([*lines, *([""] if remarks else []), *remarks])


def html(model: Estimates, about: About) -> str:
    """Write the summary for a notebook."""
    title, facts, spread, effects, remarks = parts(model, about)
    out = [f"<p><strong>{escape(title)}</strong><br>{'<br>'.join(map(escape, facts))}</p>"]
    out.append(_table(("term", "column", "sd", "correlation"), spread, "How much groups differ"))
    if effects:
        out.append(_table(FIXED, effects, "Fixed effects"))
    out += [f"<p>{escape(remark)}</p>" for remark in remarks]
    return "\n".join(out)


Rows = list[tuple[str, ...]]


def parts(
    model: Estimates, about: About, df: bool | None = None
) -> tuple[str, list[str], Rows, Rows, list[str]]:
    """Title, facts, table of spreads, table of fixed effects and remarks."""
    title = f"Linear mixed model, {model.method}"
    facts = [about.formula] if about.formula else []
    sizes = [
        f"{int((k.rows > 0).sum())} levels of {name}"
        for k, name in zip(model.gram.blocks, model.term_names, strict=True)
    ]
    facts.append(f"{model.n} rows, " + ", ".join(sizes))
    what = "REML criterion" if model.method == "REML" else "-2 log likelihood"
    facts.append(f"{what} {model.criterion:.4f}   AIC {model.aic:.2f}   BIC {model.bic:.2f}")
    spread: Rows = []
    for name, S, block in zip(model.term_names, model.Sigma, model.gram.blocks, strict=True):
        sd = np.sqrt(np.diag(S))
        for k, shown in enumerate(block.column_names):
            tied = [
                f"{S[k, i] / (sd[k] * sd[i]):.3f}" if sd[k] * sd[i] > 0 else "-" for i in range(k)
            ]
            row = (name if k == 0 else "", shown, f"{sd[k]:.5g}")
            spread.append((*row, " ".join(tied) if block.correlated else ""))
    known = " (known)" if model.known_tau2 is not None else ""
    spread.append(("noise" + known, "", f"{np.sqrt(model.tau2):.5g}", ""))
    found = tests(model, 0.95, df)
    effects: Rows = []
    for k, name in enumerate(model.names):
        lower, upper = found.interval[k]
        estimate = f"{model.fixed[k]:.5g}"
        se = f"{model.fixed_se[k]:.4g}"
        test = f"{found.df[k]:.4g}", f"{found.t[k]:.4g}", f"{found.p[k]:.3g}"
        effects.append((name, estimate, se, *test, f"{lower:.5g} to {upper:.5g}"))
    remarks = [f"Fixed effects: {found.note}."] if effects else []
    return title, facts, spread, effects, remarks + _remarks(model, about)


def _remarks(model: Estimates, about: About) -> list[str]:
    """What a reader should know: the boundary, and rows left out."""
    remarks = []
    for name, S, root in zip(model.term_names, model.Sigma, model.roots, strict=True):
        rank = int((np.abs(root).max(axis=0) > 0).sum())
        if not S.any():
            remarks.append(
                f"The data are best explained with no differences between the levels of {name}: "
                "the estimate is exactly zero, which is an answer and not a failure."
            )
        elif rank < len(root):
            remarks.append(
                f"The effects of {name} vary in {rank} of {len(root)} directions: their estimated "
                "covariance is singular, which is an answer and not a failure."
            )
    for name, block in zip(model.term_names, model.gram.blocks, strict=True):
        if block.rounding > 1e-9:
            remarks.append(
                f"K of {name} misses symmetry or positive semi-definiteness by rounding "
                f"({block.rounding:.1g} of its largest entry): the nearest matrix that does not "
                "was used."
            )
    if model.tau2 == 0:
        remarks.append(
            "The data are best explained without any noise: its estimate is exactly zero, and each "
            "row is fitted. That is an answer and not a failure; but with as many effects as rows "
            "the noise is poorly known."
        )
    if about.dropped:
        rows = (
            "1 row with a missing value was"
            if about.dropped == 1
            else f"{about.dropped} rows with missing values were"
        )
        remarks.append(f"{rows} left out.")
    if about.aliased:
        remarks.append(
            f"Left out as combinations of the columns before them: {', '.join(about.aliased)}."
        )
    return remarks


def _aligned(rows: Rows) -> list[str]:
    width = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    return [
        "  " + "  ".join(
            cell.ljust(w) if c < 1 else cell.rjust(w)
            for c, (cell, w) in enumerate(zip(row, width, strict=True))
        ).rstrip()
        for row in rows
    ]  # fmt: skip


def _table(head: tuple[str, ...], rows: Rows, caption: str) -> str:
    top = "".join(f'<th scope="col">{escape(h)}</th>' for h in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f"<table><caption>{caption}</caption><thead><tr>{top}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )
