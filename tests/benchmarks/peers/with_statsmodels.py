"""statsmodels: MixedLM, from arrays."""

import warnings

import numpy as np

from peers import Estimates, needs


def prepare(work):
    needs("statsmodels")
    from statsmodels.regression.mixed_linear_model import MixedLM

    if work.K is not None or len(work.codes) > 1:
        raise NotImplementedError("statsmodels has one grouping factor, without relatedness")
    if work.n > 10**6:
        raise LookupError("statsmodels does not finish within an hour")

    def run():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = MixedLM(work.y, work.X, work.codes[0], exog_re=work.Z)
            fit = model.fit(reml=True)
        return Estimates([np.asarray(fit.cov_re)], float(fit.scale))

    return run
