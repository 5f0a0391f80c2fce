"""The parameters of many layers, scaled at once: the same results and gradients as layer by layer."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from clipgan.models.networks.layers import Conv, Linear, scaled_together
from clipgan.models.networks.scaled_parameters import scale_and_cast

pytestmark = pytest.mark.numeric


@pytest.fixture
def layers():
    torch.manual_seed(0)
    return [Conv(3, 4, 3, activate=True), Conv(4, 4, 1, bias=False, scale=0.5), Linear(4, 5, bias=1, lr_multiplier=0.1)]


def forward(layers, x):
    first, second, last = layers
    return last(second(first(x)).mean(dim=(2, 3)))


@pytest.mark.usefixtures("float64")
def test_scaled_together_changes_no_result_and_no_gradient(layers):
    layers = [layer.double() for layer in layers]
    x = torch.randn(2, 3, 4, 4)
    parameters = [parameter for layer in layers for parameter in layer.parameters()]
    alone = forward(layers, x)
    with scaled_together(layers):
        assert all(layer._ready is not None for layer in layers)
        together = forward(layers, x)
    assert all(layer._ready is None for layer in layers)
    torch.testing.assert_close(together, alone)
    direction = torch.randn_like(alone)
    for ours, theirs in zip(*(torch.autograd.grad(y, parameters, direction) for y in (together, alone)), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.exact
def test_a_parameter_without_gradient_gets_none(layers):
    """As Freeze-D's, or those of a layer whose output no loss reads."""
    layers[0].requires_grad_(False)
    with scaled_together(layers):
        layers[1](layers[0](torch.randn(1, 3, 4, 4))).sum().backward()
    assert layers[0].weight.grad is None
    assert layers[1].weight.grad is not None
    assert layers[2].weight.grad is None


@pytest.mark.exact
def test_an_error_leaves_no_scaled_parameters_behind(layers):
    with pytest.raises(RuntimeError), scaled_together(layers):
        layers[0](torch.randn(1, 5, 4, 4))
    assert all(layer._ready is None for layer in layers)


def test_small_gradients_in_half_precision_do_not_vanish():
    """Half precision rounds 2e-8 to 0: the gradient is scaled in the parameter's dtype."""
    parameter = torch.ones(3, requires_grad=True)
    [scaled] = scale_and_cast([parameter], [2.0**-12], torch.float16)
    [gradient] = torch.autograd.grad(scaled, parameter, torch.full((3,), 2.0**-13, dtype=torch.float16))
    assert gradient.tolist() == [2.0**-25] * 3


@pytest.mark.usefixtures("float64")
def test_scaling_can_be_differentiated_twice():
    tensors = [torch.randn(3, requires_grad=True), torch.randn(2, 2, requires_grad=True)]

    def scaled(*tensors):
        return scale_and_cast(tensors, [1.0, 2.0], torch.float64)

    torch.testing.assert_close(list(scaled(*tensors)), [tensors[0], 2 * tensors[1]])
    assert gradcheck(scaled, tensors)
    assert gradgradcheck(scaled, tensors)


def test_autocast_gets_its_dtype_and_the_parameters_get_float32(layers):
    with torch.autocast("cpu", torch.bfloat16), scaled_together(layers):
        assert {layer._ready[0].dtype for layer in layers} == {torch.bfloat16}
        forward(layers, torch.randn(2, 3, 4, 4)).sum().backward()
    assert {layer.weight.grad.dtype for layer in layers} == {torch.float32}
    exact = scale_and_cast([layers[0].weight], [2.0], torch.float32)[0]
    assert torch.equal(exact, layers[0].weight * 2)
