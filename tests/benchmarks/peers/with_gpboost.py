"""gpboost: maximum likelihood, slopes independent of intercepts, from arrays."""

import logging

import numpy as np

from peers import Estimates, needs


def prepare(work):
    gpboost = needs("gpboost")
    if work.K is not None:
        raise NotImplementedError("gpboost has no relatedness of levels")
    silent = logging.getLogger("gpboost")
    silent.addHandler(logging.NullHandler())
    silent.propagate = False
    gpboost.register_logger(silent)
    slopes = None if work.Z is None else work.Z[:, 1:]

    def run():
        model = gpboost.GPModel(
            group_data=np.column_stack(work.codes),
            group_rand_coef_data=slopes,
            ind_effect_group_rand_coef=None if slopes is None else [1] * slopes.shape[1],
            likelihood="gaussian",
            num_parallel_threads=1,
        )
        model.fit(y=work.y, X=work.X)
        tau2, *rest = np.asarray(model.get_cov_pars(), dtype=float).ravel()
        Sigma = [np.diag(rest)] if slopes is not None else [np.array([[s]]) for s in rest]
        return Estimates(Sigma, tau2, method="ML", correlated=False)

    return run
