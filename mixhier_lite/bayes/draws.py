"""Draws from the posterior, and their export to ArviZ with named dimensions."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..fitted.fit import Fit
from ..inputs import Array
from ..values import Value


@dataclass(frozen=True, eq=False, repr=False)
class Draws(Value):
    """Draws from the posterior of everything that is unknown, S of them."""

    model: Fit = field(repr=False)
    """The fit that lent the data."""
    fixed: Array
    """alpha, shape (S, p)."""
    random: tuple[Array, ...]
    """beta of each term, shape (S, J_t, q_t)."""
    Sigma: tuple[Array, ...]
    """Covariance of each term's coefficients, shape (S, q_t, q_t), without K."""
    tau2: Array
    """Variance of the noise, shape (S,)."""
    ess: float
    """Effective number of draws: S where they are independent."""

    @property
    def sds(self) -> tuple[Array, ...]:
        """Standard deviation of each column of each term, shape (S, q_t)."""
        return tuple(np.sqrt(np.einsum("skk->sk", S)) for S in self.Sigma)

    def to_arviz(self) -> Any:
        """The draws as ArviZ's InferenceData (a DataTree from ArviZ 1.0 on); needs arviz.

        Independent draws have no chains. They are dealt out to four, where S is divisible, so
        that ArviZ's own checks have something to compare.
        """
        return inference_data(self)


def inference_data(draws: Draws) -> Any:
    """Hand over alpha, beta, Sigma, standard deviations and tau, with names and levels."""
    import arviz

    model, S = draws.model, len(draws.tau2)
    chains = next(k for k in (4, 2, 1) if S % k == 0)
    posterior: dict[str, Any] = {"fixed": draws.fixed, "tau": np.sqrt(draws.tau2)}
    coords: dict[str, Any] = {"coefficient": list(model.names)}
    dims = {"fixed": ["coefficient"]}
    for t, (name, block) in enumerate(zip(model.term_names, model.gram.blocks, strict=True)):
        columns = block.column_names
        coords |= {name: block.levels.tolist(), f"{name} column": columns}
        coords[f"{name} column'"] = columns
        posterior |= {f"random {name}": draws.random[t], f"sd {name}": draws.sds[t]}
        posterior[f"Sigma {name}"] = draws.Sigma[t]
        dims |= {f"random {name}": [name, f"{name} column"], f"sd {name}": [f"{name} column"]}
        dims[f"Sigma {name}"] = [f"{name} column", f"{name} column'"]
    dealt = {key: v.reshape(chains, S // chains, *v.shape[1:]) for key, v in posterior.items()}
    if int(arviz.__version__.split(".")[0]) < 1:
        return arviz.from_dict(posterior=dealt, coords=coords, dims=dims)
    return arviz.from_dict({"posterior": dealt}, coords=coords, dims=dims)
