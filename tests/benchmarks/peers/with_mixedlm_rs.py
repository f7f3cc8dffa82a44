"""mixedlm-rs: the interface of statsmodels with lme4's criterion in Rust, from arrays."""

import warnings

import numpy as np

from peers import Estimates, needs


def prepare(work):
    rust = needs("mixedlm_rs", "mixedlm-rs")
    if work.K is not None or len(work.codes) > 1:
        raise NotImplementedError("mixedlm-rs has one grouping factor, without relatedness")

    def run():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = rust.MixedLM(work.y, work.X, work.codes[0], exog_re=work.Z).fit(reml=True)
        return Estimates([np.atleast_2d(np.asarray(fit.cov_re))], float(fit.scale))

    return run
