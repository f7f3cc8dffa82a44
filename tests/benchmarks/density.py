"""How dense the code is, room by room: ``python tests/benchmarks/density.py [root]``.

A code line holds a token that is no comment and no docstring. An operation is a node of the syntax
tree that computes or picks: a call, an operator (arithmetic, comparison, boolean, unary), a
subscript, a comprehension's loop, a conditional expression, a walrus, a lambda. Names, attributes,
constants, plain assignments and type hints count nothing. It is a report and no limit.
"""

import ast
import io
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[2] / "mixhier_lite"
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
SILENT |= {tokenize.ENDMARKER}
OPERATIONS = (
    ast.Call,
    ast.BinOp,
    ast.UnaryOp,
    ast.Compare,
    ast.BoolOp,
    ast.Subscript,
    ast.comprehension,
    ast.IfExp,
    ast.NamedExpr,
    ast.Lambda,
)


def code_lines(source):
    """Numbers of the lines that hold code: not blank, not comment, not docstring."""
    texts = [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    silent = {n for text in texts for n in range(text.lineno, text.end_lineno + 1)}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    spoken = [token for token in tokens if token.type not in SILENT]
    return {n for t in spoken for n in range(t.start[0], t.end[0] + 1)} - silent


def operations(source):
    """How many operations a source has, type hints left out."""
    tree = ast.parse(source)
    hints = set()
    for node in ast.walk(tree):
        for field in ("annotation", "returns"):
            if getattr(node, field, None) is not None:
                hints |= {id(part) for part in ast.walk(getattr(node, field))}
    return sum(isinstance(node, OPERATIONS) and id(node) not in hints for node in ast.walk(tree))


def report(root):
    """A line for each room: code lines, operations, operations a line."""
    rooms = {}
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        room = inside.parts[0] if len(inside.parts) > 1 else "(root)"
        source = path.read_text(encoding="utf-8")
        lines, count = rooms.get(room, (0, 0))
        rooms[room] = lines + len(code_lines(source)), count + operations(source)
    for room, (lines, count) in rooms.items():
        print(f"{room:12} {lines:6} lines {count:6} operations {count / max(lines, 1):6.2f} a line")


if __name__ == "__main__":
    assert code_lines('"""Two\nlines."""\n\n# c\nx = f(\n    1,  # one\n)\n') == {5, 6, 7}
    assert operations("x: list[int] = f(a[0] + 1)") == 3
    report(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
