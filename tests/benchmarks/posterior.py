"""W7: effective draws a second, beside nutpie's, from one prior: flat on alpha and both sds."""

import warnings
from functools import partial

import clock
import numpy as np
import table
import work
from peers import needs

TARGETS = {"W7a": 30, "W7b": 800}
JOBS = {  # what, draws of ours, (chains, warm-up, draws) of nutpie
    "W7a": (work.seed_groups, 4000, (4, 500, 1000)),
    "W7b": (work.posterior_intercept, 4000, (2, 300, 500)),
}
COLUMNS = ("eff. draws", "CPU s", "per s", "ours / it", "to reach", "")


def ours(job, draws):
    """Fit from arrays, then draw: effective draws, and a matrix of alpha and both sds."""
    from mixhier_lite import sample

    found = sample(job.fit(), draws, np.random.default_rng(1))
    return found.ess, np.column_stack([found.fixed, found.sds[0][:, 0], np.sqrt(found.tau2)])


def compiled(job):
    """The model in PyMC, compiled for nutpie; this is not timed.

    The intercept is the mean of the levels, and the columns of X are centred: of the usual ways
    to write the model this mixes best where levels have many rows, as here.
    """
    warnings.filterwarnings("ignore", module="pytensor")
    pymc, nutpie = needs("pymc"), needs("nutpie")
    centre = job.X[:, 1:].mean(axis=0)
    with pymc.Model() as model:
        level, slope = pymc.Flat("level"), pymc.Flat("slope", shape=len(centre))
        sigma, tau = pymc.HalfFlat("sigma"), pymc.HalfFlat("tau")
        gamma = pymc.Normal("gamma", level, sigma, shape=job.J[0])
        mean = gamma[job.codes[0]] + (job.X[:, 1:] - centre) @ slope
        pymc.Normal("y", mean, tau, observed=job.y)
        pymc.Deterministic("intercept", level - centre @ slope)
    return nutpie.compile_pymc_model(model)


def theirs(model, chains, warm_up, draws):
    """Sample, with warm-up: the smallest effective number, and alpha and both sds."""
    import arviz
    import nutpie

    options = {"chains": chains, "cores": 1, "tune": warm_up, "draws": draws}
    trace = nutpie.sample(model, seed=1, progress_bar=False, **options)
    names = ["intercept", "slope", "sigma", "tau"]
    least = min(float(e.min()) for e in arviz.ess(trace, var_names=names).data_vars.values())
    parts = [np.asarray(trace.posterior[name]).reshape(chains * draws, -1) for name in names]
    return least, np.hstack(parts)


def apart(ours, theirs):
    """How far two posteriors differ at the medians, in standard errors.

    Means would not do: with four groups and a flat prior the sd has no variance.
    """
    (n, a), (m, b) = ours, theirs
    below = (b < np.median(a, axis=0)).mean(axis=0)
    return float(np.abs(below - 0.5).max() / (0.5 * np.sqrt(1 / n + 1 / m)))


def one(name):
    """Both sides of one posterior, as lines."""
    make, draws, run = JOBS[name]
    job, kept = make(), {}
    model = compiled(job)
    sides = {"fit and sample": lambda: ours(job, draws), "nutpie": lambda: theirs(model, *run)}

    def once(side):
        kept[side] = sides[side]()

    seconds = clock.in_turns({side: partial(once, side) for side in sides}, 3)
    rates = {side: kept[side][0] / seconds[side] for side in sides}
    out = [f"{name}  {job.what}"]
    for side in sides:
        cells = [f"{kept[side][0]:.0f}", f"{seconds[side]:.3f}", f"{rates[side]:.4g}", "", "", ""]
        if side == "nutpie":
            ratio = rates["fit and sample"] / rates[side]
            cells[3:] = [f"{ratio:.3g}", TARGETS[name], "yes" if ratio >= TARGETS[name] else "NO"]
        out.append(table.row(f"      {side}", *cells))
    gap = apart(*kept.values())
    assert gap < 5, "the two posteriors differ"
    return [*out, f"      the two agree at the medians, within {gap:.1f} standard errors"]


def lines():
    """Both posteriors, or what is missing for them."""
    try:
        return [table.row("", *COLUMNS), *one("W7a"), *one("W7b")]
    except LookupError as problem:
        return [f"W7  {problem}"]
