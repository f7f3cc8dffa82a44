"""Cold start: import, read arrays with numpy, fit sleepstudy, as whole processes."""

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import clock
import numpy as np
import table
import work

READ = "import numpy as np; d = np.load({file!r}); y, X, g = d['y'], d['X'], d['g']; "
FRAME = "import pandas as pd; f = pd.DataFrame(dict(y=y, x1=X[:, 1], g1=g)); "
BARE = "import of numpy and scipy"
CODE = {
    "fit (arrays)": READ + "from mixhier_lite import Term, fit; fit(y, X, Term(g, X))",
    BARE: "import numpy, scipy.linalg, scipy.sparse, scipy.optimize",
    "mixedlm": READ + FRAME + "import mixedlm; mixedlm.lmer('y ~ x1 + (x1 | g1)', f)",
    "statsmodels": READ
    + "from statsmodels.regression.mixed_linear_model import MixedLM as M; M(y, X, g, X).fit()",
    "gpboost": READ
    + "import gpboost; m = gpboost.GPModel(group_data=g, group_rand_coef_data=X[:, 1:],"
    + " ind_effect_group_rand_coef=[1], likelihood='gaussian'); m.fit(y=y, X=X)",
}
R = "suppressMessages(library({library})); d <- read.csv('{file}'); d$g1 <- factor(d$g1); {call}"
CALLS = {
    "lme4": "lmer(y ~ x1 + (x1 | g1), d)",
    "nlme": "lme(y ~ x1, random = ~ x1 | g1, data = d)",
}
TARGETS = {BARE: 1.3, "mixedlm": 0.5}


def lines(repetitions=7):
    """Time the processes in turns; leave out those that fail."""
    job = work.sleepstudy()
    with tempfile.TemporaryDirectory() as folder:
        file, sheet = Path(folder) / "data.npz", Path(folder) / "data.csv"
        np.savez(file, y=job.y, X=job.X, g=job.codes[0])
        job.frame.to_csv(sheet, index=False)
        sides = {
            side: [sys.executable, "-c", code.format(file=str(file))] for side, code in CODE.items()
        }
        if shutil.which("Rscript"):
            for library, call in CALLS.items():
                code = R.format(library=library, file=sheet, call=call)
                sides[library] = ["Rscript", "-e", code]
        seconds = {side: [] for side in sides}
        for _ in range(repetitions):
            for side, command in sides.items():
                try:
                    seconds[side].append(clock.whole_process(command, stderr=-3))
                except RuntimeError:
                    continue
    medians = {side: statistics.median(used) for side, used in seconds.items() if used}
    return table.lines("cold", "import, read, fit W1", medians, "fit (arrays)", TARGETS)
