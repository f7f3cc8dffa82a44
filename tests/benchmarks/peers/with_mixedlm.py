"""mixedlm: lme4's algorithm in Rust, from a data frame."""

from peers import Estimates, covariance, needs, sizes


def prepare(work):
    mixedlm = needs("mixedlm")
    if work.K is not None:
        raise NotImplementedError("mixedlm has no relatedness")
    frame = work.frame

    def run():
        fit = mixedlm.lmer(work.formula, frame)
        tau2 = float(fit.sigma) ** 2
        return Estimates(covariance(fit.theta, tau2, sizes(work)), tau2, fit.function_evals)

    return run
