"""lme4, in an R process of its own that is asked once for each repetition."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from peers import Estimates, covariance, sizes

SCRIPT = """
suppressMessages(library(lme4))
data <- read.csv("{file}")
for (name in grep("^g", names(data), value = TRUE)) data[[name]] <- factor(data[[name]])
input <- file("stdin", "r")
cat("ready\\n")
while (length(readLines(input, 1)) > 0) {{
  gc(FALSE)
  spent <- system.time(fit <- suppressWarnings(lmer({formula}, data)))
  out <- c(sum(spent[1:2]), sigma(fit)^2, fit@optinfo$feval, getME(fit, "theta"))
  cat(format(out, digits = 17), "\\n")
}}
"""


class Session:
    """A call fits once and returns R's own CPU seconds; ``found`` holds the estimates."""

    def __init__(self, work):
        self.work, self.found = work, None
        self.folder = tempfile.TemporaryDirectory()
        file = Path(self.folder.name) / "data.csv"
        work.frame.to_csv(file, index=False)
        script = Path(self.folder.name) / "fit.R"
        script.write_text(SCRIPT.format(file=file, formula=work.formula), encoding="utf-8")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
        self.process = subprocess.Popen(["Rscript", str(script)], **pipes)
        if self.process.stdout.readline().strip() != "ready":
            raise LookupError("R has no lme4: install.packages('lme4')")

    def __call__(self):
        self.process.stdin.write("\n")
        seconds, tau2, evaluations, *theta = map(float, self.process.stdout.readline().split())
        Sigma = covariance(np.array(theta), tau2, sizes(self.work))
        self.found = Estimates(Sigma, tau2, int(evaluations))
        return seconds

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def prepare(work):
    if shutil.which("Rscript") is None:
        raise LookupError("R is not installed: Rscript is not on the path")
    if work.K is not None:
        raise NotImplementedError("lme4 has no relatedness")
    return Session(work)
