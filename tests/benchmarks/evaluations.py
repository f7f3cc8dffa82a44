"""How often a fit evaluates its criterion."""

from mixhier_lite.variance import Criterion


def counted(fit):
    """Number of evaluations in one call of ``fit``, counted outside of all timing."""
    solve, count = Criterion.solve, [0]

    def counting(self, T):
        count[0] += 1
        return solve(self, T)

    Criterion.solve = counting
    try:
        fit()
    finally:
        Criterion.solve = solve
    return count[0]
