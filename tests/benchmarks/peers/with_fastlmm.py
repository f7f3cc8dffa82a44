"""FaST-LMM: one term with relatedness, by an eigendecomposition of K."""

import numpy as np

from peers import Estimates, needs


def prepare(work):
    needs("fastlmm.inference.lmm", "fastlmm")
    from fastlmm.inference.lmm import LMM

    if work.K is None:
        raise NotImplementedError("FaST-LMM is for relatedness")

    def run():
        model = LMM()
        model.setK(work.K)
        model.setX(work.X)
        model.sety(work.y)
        found = model.findH2(REML=True)
        h2, total = float(np.ravel(found["h2"])[0]), float(np.ravel(found["sigma2"])[0])
        return Estimates([np.array([[h2 * total]])], (1 - h2) * total)

    return run
