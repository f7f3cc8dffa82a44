"""glimix-core: one term with relatedness, by an eigendecomposition of K."""

import numpy as np

from peers import Estimates, needs


def prepare(work):
    needs("glimix_core.lmm", "glimix-core")
    from glimix_core.lmm import LMM
    from numpy_sugar.linalg import economic_qs

    if work.K is None:
        raise NotImplementedError("glimix-core is for relatedness")

    def run():
        model = LMM(work.y, work.X, economic_qs(work.K), restricted=True)
        model.fit(verbose=False)
        return Estimates([np.array([[model.v0]])], float(model.v1))

    return run
