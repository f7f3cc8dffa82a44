"""lme-python: lme4's algorithm in Rust, from a data frame."""

import numpy as np

from peers import Estimates, covariance, needs, sizes


def prepare(work):
    lme = needs("lme_python", "lme-python")
    if work.K is not None:
        raise NotImplementedError("lme-python has no relatedness")
    labels = {f"g{t + 1}": codes.astype(str) for t, codes in enumerate(work.codes)}
    frame = work.frame.assign(**labels)  # numbers would be covariates to it

    def run():
        fit = lme.lmer(work.formula, data=frame, reml=True)
        tau2 = float(fit.sigma2)
        return Estimates(covariance(np.array(fit.theta), tau2, sizes(work)), tau2, fit.iterations)

    return run
