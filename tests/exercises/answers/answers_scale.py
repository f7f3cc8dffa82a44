"""Right and wrong answers to the exercises of chapter *scale*."""

from math import isqrt

import numpy as np


def line(n1, t1, n2, t2, n, cores):
    """A line through two points; its intercept once, its slope shared."""
    slope, once = np.polyfit([n1, n2], [t1, t2], 1)
    return once + slope * n / cores


def rebuilt(n, means, squares):
    """Write down rows that have these sums, and start anew."""
    rows = []
    for size, mean, q in zip(n.astype(int), means, squares, strict=True):
        shape = np.arange(size) - (size - 1) / 2
        rows.append(mean + shape * np.sqrt(q / (shape @ shape)))
    y = np.concatenate(rows)
    return y.mean(), ((y - y.mean()) ** 2).sum()


def with_plain_mean(n, means, squares):
    return means.mean(), squares.sum() + n @ (means - means.mean()) ** 2


def counted(first, second):
    """Count the pairs k >= l that share a level, level by level."""
    total = 0
    for level in set(first.tolist()):
        met = sorted(
            {b for a, b in zip(first.tolist(), second.tolist(), strict=True) if a == level}
        )
        total += sum(1 for k in met for other in met if other <= k)
    return total


def by_rows(first, second):
    d = np.bincount(first)
    return (d * (d + 1) / 2).sum()


def different(first, second):
    pairs = set(zip(first.tolist(), second.tolist(), strict=True))
    return np.bincount([a for a, _ in pairs])


def root(n):
    return (isqrt(8 * int(n) + 1) - 1) // 2


# two students with u v = -1 and u^2 + v^2 = 5 give -1/6 each; (-1, -1) gives 1/3
u, v = (3**0.5 + 7**0.5) / 2, (3**0.5 - 7**0.5) / 2

RIGHT = {
    "scale-1": "smaller",
    "scale-2": line,
    "scale-3": rebuilt,
    "scale-4": counted,
    "scale-5": [u, v, -1, -1, v, u],
    "scale-6": root,
}

WRONG = {
    "scale-1": [
        ("no change", "divides a sum of squares"),
        ("larger", "By what is it divided"),
        ("No Change", "divides a sum of squares"),
    ],
    "scale-2": [
        (lambda n1, t1, n2, t2, n, c: n / c * (t2 / n2), "share of the search"),
        (lambda n1, t1, n2, t2, n, c: (t1 + t2) * n / (n1 + n2) / c, "averaged the two runs"),
        (lambda n1, t1, n2, t2, n, c: n * (t2 - t1) / (n2 - n1) / c, "search at the end"),
        (lambda n1, t1, n2, t2, n, c: line(n1, t1, n2, t2, n, 1), "on one core"),
        (lambda n1, t1, n2, t2, n, c: line(n1, t1, n2, t2, n, 1) / c, "shared the search"),
    ],
    "scale-3": [
        (with_plain_mean, "plain mean of the means"),
        (lambda n, m, q: (np.average(m, weights=n), q.sum()), "as they are"),
        (lambda n, m, q: (np.average(m, weights=n), q.sum() + len(m) * m.var()), "once for"),
        (lambda n, m, q: np.array(rebuilt(n, m, q)) / [1, n.sum() - 1], "is a variance"),
    ],
    "scale-4": [
        (lambda a, b: counted(b, a), "eliminated the second"),
        (by_rows, "You counted rows"),
        (lambda a, b: (different(a, b) ** 2).sum(), "twice"),
        (lambda a, b: counted(a, b) - different(a, b).sum(), "diagonal out"),
    ],
    "scale-5": [
        ([1, 2, 3, 4, 5, 6], "one sign with both"),
        ([1, -2, 3, -4, -5, 6], "the other sign"),
        ([1, 1, 1, -1, 1, 1], "not yet zero"),
    ],
    "scale-6": [
        (lambda n: int(np.sqrt(n)), "as many rows as there are"),
        (lambda n: isqrt(2 * n), "half a square"),
        (lambda n: root(n) + 1, "no rows left"),
        (lambda n: root(n) - 1, "room for one more"),
    ],
}
