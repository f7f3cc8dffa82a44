"""What people do with a fit, beside lme4 and lmerTest: profile, bootstrap, degrees of freedom."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import clock
import numpy as np
import table
import work

from mixhier_lite import Term, fit, integrate

DRAWS = 1000
FEW = 20
"""Draws that R makes where each takes long; its seconds are those of a thousand."""
R = """
suppressMessages({{library(lme4); library(lmerTest)}})
data <- read.csv("{file}")
data$g1 <- factor(data$g1)
fit <- lme4::lmer({formula}, data)
seconds <- function(run) {{ gc(FALSE); sum(system.time(suppressWarnings(run()))[1:2]) }}
all <- function(model) c(fixef(model), getME(model, "theta"), sigma(model))
cat(seconds(function() profile(fit)),
    seconds(function() bootMer(fit, all, nsim = {draws})) * {factor},
    seconds(function() summary(as_lmerModLmerTest(fit))), "\\n")
"""


def with_lme4(job, draws):
    """CPU seconds of the three in R; none where there is no R, lme4 or lmerTest."""
    if shutil.which("Rscript") is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        file, script = Path(folder) / "data.csv", Path(folder) / "verbs.R"
        job.frame.to_csv(file, index=False)
        text = R.format(file=file, formula=job.formula, draws=draws, factor=DRAWS / draws)
        script.write_text(text, encoding="utf-8")
        run = subprocess.run(["Rscript", str(script)], capture_output=True, encoding="utf-8")
    if run.returncode:
        return {}
    return dict(
        zip(("profile", "bootstrap", "satterthwaite"), map(float, run.stdout.split()), strict=True)
    )


def lines():
    """Three verbs on two models, then what ``integrate`` is asked for."""
    out = []
    for job, draws in ((work.sleepstudy(), DRAWS), (work.small_intercept(), FEW)):
        model = job.fit()
        verbs = {
            "profile": model.profile,
            "bootstrap": lambda m=model: m.bootstrap(DRAWS, np.random.default_rng(1)),
            "satterthwaite": model.satterthwaite,
        }
        theirs = with_lme4(job, draws)
        for verb, run in verbs.items():
            seconds = {"ours": clock.in_turns({verb: lambda run=run: run() and None}, 3)[verb]}
            if verb in theirs:
                seconds["lme4, lmerTest"] = theirs[verb]
            out += table.lines(
                f"{job.name} {verb}", job.what, seconds, "ours", {"lme4, lmerTest": 0.1}
            )
    return [*out, *posterior_lines()]


def _lines_of(rng, J, rows):
    """J groups with intercept and slope."""
    g = np.repeat(np.arange(J), rows)
    X = np.column_stack([np.ones(len(g)), rng.normal(size=len(g))])
    beta = rng.normal(size=(J, 2)) @ [[1.0, 0.3], [0.0, 0.6]]
    y = X @ [1.0, 0.5] + (X * beta[g]).sum(axis=1) + rng.normal(size=len(g))
    return fit(y, X, Term(g, X))


def _crossed(rng, J, K, n):
    """J levels of one factor and K of another."""
    g, h = rng.integers(0, J, n), rng.integers(0, K, n)
    y = rng.normal(size=J)[g] + rng.normal(size=K)[h] + rng.normal(size=n)
    return fit(y, np.ones((n, 1)), [Term(g), Term(h)])


def posterior_lines():
    """A mean and a quantile of a standard deviation, from a fit to the number."""
    rng = np.random.default_rng(5)
    models = {
        "50 groups with slopes": (_lines_of(rng, 50, 10), 1.0),
        "500 groups with slopes": (_lines_of(rng, 500, 10), 1.0),
        "500 x 100 crossed, 10,000 rows": (_crossed(rng, 500, 100, 10_000), 3.0),
    }
    out = ["integrate, CPU seconds: the mean and the 0.975 quantile of each sd"]
    for what, (model, most) in models.items():

        def run(model=model):
            found = integrate(model)
            found.mean.sds, found.quantile(0.975).sds

        used = clock.in_turns({what: run}, 3)[what]
        out.append(
            table.row(
                f"      {what}",
                f"{used:.2f}",
                "",
                f"{most:.1f}",
                "yes" if used <= most else "NO",
                "",
                "",
            )
        )
    return out
