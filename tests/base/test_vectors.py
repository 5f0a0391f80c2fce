"""Vectors of unit length."""

import pytest
import torch
import torch.nn.functional as F

from clipgan.base.vectors import unit

pytestmark = pytest.mark.numeric


def test_unit_is_normalize_with_its_gradient():
    x = torch.randn(6, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    assert torch.equal(unit(x), F.normalize(x, dim=1))
    gradient = torch.randn(6, 9, dtype=torch.float64)
    ours, theirs = (torch.autograd.grad(f(x), x, gradient)[0] for f in (unit, lambda x: F.normalize(x, dim=1)))
    torch.testing.assert_close(ours, theirs)
    assert torch.autograd.gradcheck(unit, x)


def test_a_vector_of_zeros_stays_finite():
    x = torch.zeros(2, 3, requires_grad=True)
    assert torch.equal(unit(x), torch.zeros(2, 3))
    (gradient,) = torch.autograd.grad(unit(x).sum(), x)
    assert gradient.isfinite().all()
