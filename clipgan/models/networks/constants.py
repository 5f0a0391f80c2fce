"""Small constant tensors, which each device computes once."""

import functools
from collections.abc import Callable
from typing import ParamSpec, cast

import torch
from torch import Tensor

P = ParamSpec("P")


def constant(compute: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Keep the results of a function whose arguments determine them.

    A CUDA graph can record a later use of a result, but not the first. torch.compile ignores caches, with a warning.
    """
    cached = cast(Callable[P, Tensor], functools.lru_cache(compute))

    @functools.wraps(compute)
    def result(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        return (compute if torch.compiler.is_compiling() else cached)(*args, **kwargs)

    return result


@constant
def row(length: int, value: float, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return a vector of one value: cuBLAS adds a vector to a product in the product's own kernel, but no scalar."""
    return torch.full((length,), value, device=device, dtype=dtype)
