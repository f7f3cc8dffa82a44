"""interlace-lme: mixed models in Python with sparse algebra, from a data frame."""

import re
import warnings

import numpy as np

from peers import Estimates, covariance, needs, sizes


def prepare(work):
    interlace = needs("interlace", "interlace-lme")
    if work.K is not None:
        raise NotImplementedError("interlace-lme has no relatedness")
    bars = re.findall(r"\(.*?\)", work.formula)
    fixed = re.sub(r" \+ \(.*", "", work.formula)
    random = [bar.replace("(x1", "(1 + x1") for bar in bars]

    def run():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = interlace.fit(formula=fixed, data=work.frame, random=random)
        tau2 = float(fit.scale)
        return Estimates(covariance(np.asarray(fit.theta), tau2, sizes(work)), tau2)

    return run
