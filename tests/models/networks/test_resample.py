"""Resampling by the factor 2: the ways that only a GPU takes, against PyTorch's own operations."""

import pytest
import torch
import torch.nn.functional as F

from clipgan.models.networks.lafite import resample as lafite
from clipgan.models.networks.resample import (
    Averages,
    Repetition,
    upsample,
    upsample_backward,
    upsample_backward_by_products,
)
from tests.numeric import rounding

pytestmark = pytest.mark.numeric


def maps(*shape, dtype=torch.float64):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x.to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()


def test_averages_and_repetition_are_pooling_and_nearest_neighbours():
    x = maps(2, 5, 8, 8)
    torch.testing.assert_close(Averages.apply(x), F.avg_pool2d(x, 2))
    assert torch.equal(Repetition.apply(x), F.interpolate(x, scale_factor=2, mode="nearest"))


@pytest.mark.parametrize("function", [Averages, Repetition])
def test_they_are_differentiable_twice(function):
    x = maps(2, 3, 4, 4)
    assert torch.autograd.gradcheck(function.apply, x)
    assert torch.autograd.gradgradcheck(function.apply, x)


def test_averages_keep_the_layout_and_round_once():
    x = maps(2, 16, 8, 8, dtype=torch.bfloat16)
    y = Averages.apply(x)
    assert y.is_contiguous(memory_format=torch.channels_last)
    exact = F.avg_pool2d(x.double(), 2)
    assert (y.double() - exact).abs().max() <= rounding(1, torch.bfloat16) * exact.abs().max() + rounding(4)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, torch.full_like(gradient, 0.25))


def test_the_deterministic_gradient_of_upsampling_is_the_gradient():
    x = maps(2, 3, 8, 8)
    gradient = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    (expected,) = torch.autograd.grad(upsample(x), x, gradient)
    torch.testing.assert_close(upsample_backward(gradient), expected)
    torch.testing.assert_close(upsample_backward_by_products(gradient), expected)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: lafite.blur(x, padding=1),
        lambda x: lafite.blur(x, padding=2),
        lambda x: lafite.blur(x, padding=1, stride=2),
        lafite.upsample,
    ],
)
def test_lafites_filters_by_products_are_its_filters(monkeypatch, function):
    x, even = maps(2, 5, 9, 9), maps(2, 5, 8, 8)
    expected = [function(x), function(even)]
    (gradient,) = torch.autograd.grad(expected[1].square().sum(), even)
    monkeypatch.setattr(lafite, "PRODUCTS", ("cpu",))
    found = [function(x), function(even)]
    torch.testing.assert_close(found, expected)
    assert all(y.is_contiguous(memory_format=torch.channels_last) for y in found)
    torch.testing.assert_close(torch.autograd.grad(found[1].square().sum(), even), (gradient,))
    half = maps(2, 5, 8, 8, dtype=torch.bfloat16)  # every entry of the matrices is exact in bfloat16
    exact = function(half.double())
    assert (function(half).double() - exact).abs().max() <= rounding(4, torch.bfloat16) * exact.abs().max()
