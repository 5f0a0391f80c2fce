"""Comparing what is computed in floating point: in float64, or with bounds that follow from the arithmetic.

Two ways of computing one quantity differ by rounding, and by how much depends on the processor: its vector width orders
sums, and its fused operations round once instead of twice. So a test compares them in one of two ways.

- In float64 (the fixture `float64`, or `in_float64`), where rounding is a billionth of any real error: `CLOSE`.
- In the dtype itself, with a bound that counts roundings: `rounding`.

Nothing discrete is compared that rounding can turn (a sign, the nearest of near ones, a threshold), except where the
test asserts that nothing lies within rounding of the edge: `assert_apart`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from clipgan.config import Config
from clipgan.tasks.gan.preparation import Prepared
from tests.prepared import prepared_for

CLOSE = 1e-9  # relative, in float64: some million roundings
APART = 1e-9  # of quantities near 1 in float64, likewise
_FLOAT = torch.Tensor.float


@contextmanager
def in_float64() -> Iterator[None]:
    """Compute in float64 whatever would compute in float32: new tensors and modules, and `Tensor.float()`."""
    before = torch.get_default_dtype(), torch.Tensor.float
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.set_default_dtype(before[0])
        torch.Tensor.float = before[1]  # type: ignore[method-assign]


@contextmanager
def in_float32() -> Iterator[None]:
    """Undo `in_float64` for a while."""
    before = torch.get_default_dtype(), torch.Tensor.float
    torch.set_default_dtype(torch.float32)
    torch.Tensor.float = _FLOAT  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.set_default_dtype(before[0])
        torch.Tensor.float = before[1]  # type: ignore[method-assign]


def prepare_in_float64(config: Config) -> Prepared:
    """What a training needs, with frozen encoders that compute in float64.

    What it reads of the cache is in float32, as always; what it adds goes into a folder of its own.
    """
    with in_float32():
        prepared = prepared_for(config)
    for encoder in (prepared.clip, prepared.resnet, prepared.judge):
        if encoder is not None:
            encoder.double()
    features, to_resnet = prepared.features, prepared.features.text_to_resnet
    to_resnet = None if to_resnet is None else to_resnet.double()
    features = replace(features, text_to_resnet=to_resnet)
    return replace(prepared, features=features, cache_dir=prepared.cache_dir / "float64")


def rounding(count: int, dtype: torch.dtype = torch.float32) -> float:
    """The most that `count` roundings move a result, relative to the largest sum of magnitudes on the way.

    A sum of n products has n (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1); so has a chain of n
    operations, whose every result is rounded.
    """
    unit = torch.finfo(dtype).eps / 2
    assert count * unit < 0.5
    return count * unit / (1 - count * unit)


def assert_apart(values: np.ndarray | torch.Tensor, least: float = APART) -> None:
    """Fail if two values of a row are nearer than rounding may move them: their order would depend on the processor."""
    gaps = np.diff(np.sort(np.asarray(values, dtype=np.float64), axis=-1), axis=-1)
    assert gaps.size == 0 or gaps.min() > least, f"two values of a row are {gaps.min():.1e} apart"
