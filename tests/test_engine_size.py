"""The engine stays small enough to be read.

Counted is what finds the estimates: the Gram, the criterion, its optimum. What only reads a fit
(report, blup, prediction, summary) and what reads inputs and formulas is not.
"""

import ast
import io
import tokenize
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "mixhier_lite"
ENGINE = (
    "term gram assembly elimination variance curvature levels scalar optimum refusals fit"
).split()
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}


def code_lines(source):
    """Numbers of the lines that hold code: not blank, not comment, not docstring."""
    texts = [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    silent = {n for t in texts for n in range(t.lineno, t.end_lineno + 1)}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    spoken = [t for t in tokens if t.type not in SILENT | {tokenize.ENDMARKER}]
    return {n for t in spoken for n in range(t.start[0], t.end[0] + 1)} - silent


def test_counter():
    source = (
        '"""Two\nlines."""\n\n# comment\nx = f(\n    1,  # one\n)\n\n\ndef g():\n    """Doc."""\n'
    )
    assert code_lines(source) == {5, 6, 7, 10}


def test_engine_has_fewer_than_950_lines():
    sources = {name: (PACKAGE / f"{name}.py").read_text() for name in ENGINE}
    for name, source in sources.items():
        assert all(len(line) <= 100 for line in source.splitlines()), name
    counts = {name: len(code_lines(source)) for name, source in sources.items()}
    assert sum(counts.values()) < 950, counts


if __name__ == "__main__":
    sizes = {p.stem: len(code_lines(p.read_text())) for p in sorted(PACKAGE.glob("*.py"))}
    print({n: sizes[n] for n in ENGINE if n in sizes}, sum(sizes.get(n, 0) for n in ENGINE))
    print({n: s for n, s in sizes.items() if n not in ENGINE})
