"""Lines of code that give several names at once, in the package and on the pages."""

import ast


def _exchanged(names, values):
    """Whether what one name gets is read from another one: an exchange needs one line."""
    targets = [ast.unparse(name) for name in names]
    reads = [set(map(ast.unparse, ast.walk(value))) for value in values]
    return any(
        target in read for i, target in enumerate(targets) for j, read in enumerate(reads) if i != j
    )


def _unpacking(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            yield node


def stacked(tree):
    """Yield the lines of assignments of several values to several names, but for exchanges."""
    for node in _unpacking(tree):
        if isinstance(node.value, ast.Tuple):
            if not _exchanged(node.targets[0].elts, node.value.elts):
                yield node.lineno


def compressed(tree):
    """Yield more than that: lines that unpack a loop, name a value twice, or hold a ``:=``."""
    yield from stacked(tree)
    for node in _unpacking(tree):
        if isinstance(node.value, ast.GeneratorExp | ast.ListComp):
            yield node.lineno
    for node in ast.walk(tree):
        twice = isinstance(node, ast.Assign) and len(node.targets) > 1
        if twice or isinstance(node, ast.NamedExpr):
            yield node.lineno
