"""Time the package beside its peers: ``make benchmarks``, or some of it: W1 W5 W7 verbs cold.

``--slow`` lets peers run that take minutes. ``scaling`` writes scaling.json, which chapter *scale*
draws: afterwards that chapter's notebook is to be executed anew. ``W8b`` takes minutes and 4 GB.
"""

import os
import sys

import clock
import cold
import labels
import largest
import limit
import peers
import posterior
import scaling
import table
import verbs
import work
from evaluations import counted
from exact import criterion
from peers import (
    with_fastlmm,
    with_glimix,
    with_gpboost,
    with_interlace,
    with_lme4,
    with_lme_python,
    with_mixedlm,
    with_mixedlm_rs,
    with_sklearn,
    with_statsmodels,
)

PEERS = {
    "mixedlm": with_mixedlm,
    "mixedlm-rs": with_mixedlm_rs,
    "lme-python": with_lme_python,
    "interlace-lme": with_interlace,
    "statsmodels": with_statsmodels,
    "gpboost": with_gpboost,
    "lme4": with_lme4,
    "fastlmm": with_fastlmm,
    "glimix-core": with_glimix,
    "scikit-learn": with_sklearn,
}
PASS, TRIDIAGONAL, DENSE = "one pass (numpy)", "dsytrd (LAPACK)", "dense factorisations"
JOBS = {  # what to fit, repetitions, its limit, and {side: what to reach of it}
    "W1": (work.sleepstudy, 51, None, {"mixedlm": 0.6, "lme-python": 1.0}),
    "W2": (work.small_intercept, 11, PASS, {"mixedlm": 1 / 15, PASS: 2.5}),
    "W3": (work.large_intercept, 5, PASS, {PASS: 1.4}),
    "W4": (work.slopes, 5, PASS, {"mixedlm": 1 / 50, PASS: 2.0}),
    "W5": (work.insteval, 3, DENSE, {"mixedlm": 1 / 5}),
    "W8a": (work.ratings, 1, None, {"mixedlm": 1 / 8}),
    "W6": (work.relatedness, 3, TRIDIAGONAL, {"fastlmm": 1 / 2.8, TRIDIAGONAL: 1.2}),
}
LIMITS = {
    PASS: lambda job, asked: limit.one_pass(job),
    TRIDIAGONAL: lambda job, asked: limit.tridiagonal(job),
    DENSE: limit.factorisations,
}
MINUTES = {
    "W3": [
        "mixedlm",
        "mixedlm-rs",
        "lme-python",
        "interlace-lme",
        "gpboost",
        "lme4",
        "statsmodels",
    ],
    "W4": ["interlace-lme"],
    "W5": ["lme-python", "interlace-lme"],
    "W8a": ["lme-python", "interlace-lme", "gpboost", "lme4"],
}
INSTEVAL = 237743.583116


def one(name, slow=False):
    """Time one row of the table; return its lines and the remarks below it."""
    make, repetitions, bound, targets = JOBS[name]
    job, remarks, found = make(), [], {}
    sides = {"fit (arrays)": job.fit, "lmer (frame)": job.fit_frame}
    asked = counted(job.fit)
    evaluations = {"fit (arrays)": "{values}/{slopes}".format(**asked)}
    if bound:
        sides[bound] = lambda: LIMITS[bound](job, asked)
    for peer, module in PEERS.items():
        if peer in MINUTES.get(name, ()) and not slow:
            remarks.append(f"{peer} takes minutes: --slow")
            continue
        try:
            sides[peer] = module.prepare(job)
        except LookupError as problem:
            remarks.append(str(problem))
        except NotImplementedError:
            pass  # another kind of model

    def kept(side, run):
        def again():
            found[side] = out = run()
            return out if isinstance(out, float) else None

        return again

    seconds = clock.in_turns({s: kept(s, run) for s, run in sides.items()}, repetitions)
    for run in sides.values():
        getattr(run, "close", bool)()
    gaps = {}
    for peer in PEERS:
        estimates = getattr(sides.get(peer), "found", found.get(peer))
        if isinstance(estimates, peers.Estimates):
            evaluations[peer] = estimates.evaluations
            gaps[peer] = gap(job, estimates)
    ours = found["fit (arrays)"]
    own = criterion(job, ours.Sigma, ours.tau2)
    gaps["fit (arrays)"] = ours.criterion - own
    if name == "W5":
        remarks.append(f"criterion {ours.criterion:.6f}, to reach {INSTEVAL} within 1e-6")
        assert abs(ours.criterion - INSTEVAL) < 1e-6
    assert abs(ours.criterion - own) < 1e-9 * abs(own), "the criterion is not what it says"
    if name == "W3":
        peak, *_ = clock.memory_above_the_data("large_intercept")
        remarks.append(f"peak memory of fit above the data: {peak:.0f} MB, to reach 200")
        peak, kept, size = clock.memory_above_the_data("large_intercept", "fit_frame")
        shares = f"{peak / size:.2f} frames, to reach 2.5; kept {kept / size:.2f}, to reach 1.5"
        remarks.append(f"peak memory of lmer above the data: {shares}")
    return table.lines(name, job.what, seconds, "fit (arrays)", targets, gaps, evaluations), remarks


def gap(job, estimates):
    """A peer's criterion less ours, both at the peer's method and by the same formula."""
    same = {"method": estimates.method, "correlated": estimates.correlated or job.Z is None}
    ours = job.fit(**same)
    theirs = criterion(job, estimates.Sigma, estimates.tau2, estimates.method)
    return theirs - criterion(job, ours.Sigma, ours.tau2, estimates.method)


def main(words):
    names = [word for word in words if not word.startswith("--")]
    print(table.heading(scaling.machine()), flush=True)
    for name in JOBS:
        if not names or name in names:
            try:
                lines, remarks = one(name, "--slow" in words)
            except LookupError as problem:
                lines, remarks = [f"{name}  {problem}"], []
            print("\n".join([*lines, *(f"      {remark}" for remark in remarks)]), flush=True)
    if not names or "W7" in names:
        print("\n".join(posterior.lines()), flush=True)
    for word, module in (("verbs", verbs), ("labels", labels)):
        if not names or word in names:
            print("\n".join(module.lines()), flush=True)
    if "W8b" in names:
        print("\n".join(largest.lines()), flush=True)
    if not names or "cold" in names:
        print("\n".join(cold.lines()), flush=True)
    if "scaling" in names:
        scaling.write()


if __name__ == "__main__":
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        sys.exit("One thread is set by the Makefile: make benchmarks ONLY='W1 cold'")
    main(sys.argv[1:])
