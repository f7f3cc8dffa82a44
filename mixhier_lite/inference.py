"""Draws as ArviZ knows them, with named dimensions."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .bayes import Draws


def inference_data(draws: "Draws") -> Any:
    """Hand over alpha, beta, Sigma, standard deviations and tau, with names and levels."""
    import arviz

    model, S = draws.model, len(draws.tau2)
    chains = next(k for k in (4, 2, 1) if S % k == 0)
    posterior: dict[str, Any] = {"fixed": draws.fixed, "tau": np.sqrt(draws.tau2)}
    coords: dict[str, Any] = {"coefficient": list(model.names)}
    dims = {"fixed": ["coefficient"]}
    for t, (name, block) in enumerate(zip(model.term_names, model.gram.blocks, strict=True)):
        columns = list(block.columns) or [
            "1" if block.constant else f"z{k + 1}" for k in range(block.q)
        ]
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
