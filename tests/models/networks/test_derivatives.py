"""Written-out gradients against autograd's, what can be differentiated twice, and half precision."""

import dataclasses
import functools
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode

from clipgan.base.vectors import unit
from clipgan.config import ModelConfig
from clipgan.models.losses.adversarial import path_lengths
from clipgan.models.networks import convolution
from clipgan.models.networks.activation import activate
from clipgan.models.networks.build import build_generator
from clipgan.models.networks.derivatives import differentiated_twice, gradients_of_inputs_only
from clipgan.models.networks.layers import StyledLayer, ToRGB, colours_derived_together, derived_together
from tests.numeric import in_float32, rounding

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]

MODEL = ModelConfig(z_dim=12, w_dim=10, text_dim=6, mapping_layers=2, channel_base=128, channel_max=16)
C = 24


def with_biases(module):
    """Draw the parameters that begin as constants, so that no gradient vanishes."""
    for parameter in module.parameters():
        if parameter.ndim < 2:
            parameter.data += 0.3 * torch.randn(parameter.shape)
    return module


@pytest.mark.parametrize("multi_scale", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_written_out_gradients_are_autograds(multi_scale, layout):
    torch.manual_seed(0)
    model = dataclasses.replace(MODEL, multi_scale=multi_scale)
    generator = with_biases(build_generator(model, C, 16)).to(memory_format=layout)
    latents, text, noise = torch.randn(3, 12), unit(torch.randn(3, C)), generator.draw_noise(3, torch.randn)

    def images_and_gradients():
        ws = generator.mix(latents, latents.flip(0), 2)
        images = generator.scales(ws, text, noise).all()
        directions = torch.Generator().manual_seed(1)
        loss = sum((image * torch.randn(image.shape, generator=directions)).sum() for image in images)
        return images, torch.autograd.grad(loss, [ws, *generator.parameters()])

    images, gradients = images_and_gradients()
    with differentiated_twice():
        expected_images, expected = images_and_gradients()
    torch.testing.assert_close(images, expected_images)
    for own, autograds in zip(gradients, expected, strict=True):
        assert autograds.abs().max() > 0
        torch.testing.assert_close(own, autograds)


def styled(layer, x, style, noise):
    return layer(x, style, *derived_together([layer], [style], [noise]))


class Layers(torch.nn.Module):
    """A styled layer and RGB."""

    def __init__(self, up):
        super().__init__()
        self.layer, self.rgb = StyledLayer(3, 4, 5, up=up), ToRGB(4, 5)

    def forward(self, x, style, noise):
        [colours] = colours_derived_together([self.rgb], [style])
        return self.rgb(styled(self.layer, x, style, noise), style, colours)


@pytest.mark.parametrize("up", [False, True])
def test_gradients_of_a_styled_layer_are_difference_quotients(up):
    torch.manual_seed(0)
    layers = with_biases(Layers(up))
    noise = torch.randn(2, 1, 8, 8) if up else torch.randn(2, 1, 4, 4)
    names = [name for name, _ in layers.named_parameters()]

    def forward(x, style, *parameters):
        return torch.func.functional_call(layers, dict(zip(names, parameters, strict=True)), (x, style, noise))

    inputs = [torch.randn(2, 3, 4, 4), torch.randn(2, 5), *(value.detach() for value in layers.parameters())]
    inputs = [value.requires_grad_() for value in inputs]
    assert gradcheck(forward, inputs)
    with differentiated_twice():
        assert gradgradcheck(forward, inputs)


@pytest.mark.exact
def test_a_second_derivative_elsewhere_is_an_error():
    layer = StyledLayer(3, 4, 5)
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(
        styled(layer, x, torch.randn(2, 5), torch.randn(2, 1, 4, 4)).sum(), x, create_graph=True
    )
    with pytest.raises(RuntimeError, match="does not require grad"):
        gradient.sum().backward()


@pytest.mark.parametrize(
    ("size", "kernel", "options"),
    [
        (5, 1, {}),
        (5, 3, {}),
        (7, 3, {"stride": 2, "padding": 0}),
        (8, 3, {"stride": 2, "padding": 0}),  # its last row and column are not read
        (4, 3, {"stride": 2, "padding": 0, "transposed": True}),
    ],
)
def test_the_convolution_for_two_derivatives(monkeypatch, size, kernel, options):
    monkeypatch.setattr(convolution, "OWN", ("cpu",))
    weight = torch.randn(3, 4, kernel, kernel) if options.get("transposed") else torch.randn(4, 3, kernel, kernel)
    inputs = [tensor.requires_grad_() for tensor in (torch.randn(2, 3, size, size), weight, torch.randn(4))]
    convolve = functools.partial(convolution.conv2d, **options)
    expected = convolve(*inputs)
    assert expected.shape[2] != size or not options  # each is another one
    with differentiated_twice():
        torch.testing.assert_close(convolve(*inputs), expected)
        assert gradcheck(convolve, inputs)
        assert gradgradcheck(convolve, inputs)


@pytest.mark.parametrize("bound", [None, 1.0])
@pytest.mark.parametrize("twice", [False, True])
def test_the_activation(bound, twice):
    x = torch.tensor([-7.0, -2.0, -0.5, 0.5, 2.0])  # neither at a kink nor, times the slope, at the bound
    expected, slope = F.leaky_relu(x, 0.2), torch.tensor([0.2, 0.2, 0.2, 1.0, 1.0])
    if bound is not None:
        slope[expected.abs() > bound] = 0
        expected = expected.clamp(-bound, bound)
    x.requires_grad_()
    with differentiated_twice() if twice else nullcontext():
        y = activate(x.clone(), bound)  # in place, it would change the argument
    torch.testing.assert_close(y, expected)
    [gradient] = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient, slope)


@in_float32()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_no_gradient_passes_where_a_bound_holds_that_half_precision_cannot_hold(dtype):
    bound = 256 * 0.5**0.5
    x = torch.tensor([1000.0, -5000.0, 100.0], dtype=dtype, requires_grad=True)
    [gradient] = torch.autograd.grad(activate(x, bound).sum(), x)
    assert gradient.tolist() == [0, 0, 1]


@pytest.mark.parametrize("bound", [None, 1.0])
def test_the_activations_second_derivative(bound):
    """With respect to the first one's direction it is the slope; with respect to the argument there is none."""
    x, direction = (torch.randn(3, 4, requires_grad=True) for _ in range(2))
    with differentiated_twice():
        [gradient] = torch.autograd.grad(activate(x, bound), x, direction, create_graph=True)
    [slope] = torch.autograd.grad(gradient.sum(), direction, retain_graph=True)
    torch.testing.assert_close(slope * direction, gradient)
    assert torch.autograd.grad(gradient.sum(), x, allow_unused=True) == (None,)


class WeightGradients(TorchDispatchMode):
    """Counts the convolutions' gradients with respect to weights."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.convolution_backward.default:
            self.count += args[-1][1]
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("own", [(), ("cpu",)])
def test_a_path_lengths_first_gradient_needs_no_weight_gradients(monkeypatch, own):
    monkeypatch.setattr(convolution, "OWN", own)
    generator = build_generator(MODEL, C, 16)
    ws = torch.randn(2, generator.n_styles, MODEL.w_dim, requires_grad=True)
    with differentiated_twice(), WeightGradients() as counted:
        images = generator.synthesise(ws, unit(torch.randn(2, C)), generator.draw_noise(2, torch.randn))
        with gradients_of_inputs_only():
            lengths = path_lengths(images, ws, torch.randn)
        assert counted.count == 0
        lengths.square().sum().backward()
        assert counted.count > 0
    assert all(parameter.grad is not None for parameter in generator.synthesis.convs.parameters())


@in_float32()
@pytest.mark.parametrize("up", [False, True])
def test_gradients_in_bfloat16_stay_near(up):
    """In a norm over all values: leaky ReLU's slope turns where rounding turns a sign."""
    torch.manual_seed(0)
    layer = with_biases(StyledLayer(16, 16, 8, up=up))
    x, style, noise = torch.randn(4, 16, 8, 8), torch.randn(4, 8), torch.randn(4, 1, 16 if up else 8, 16 if up else 8)

    def gradients(autocast):
        inputs = [x.clone().requires_grad_(), *layer.parameters()]
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            y = styled(layer, inputs[0], style, noise)
        assert y.dtype == (torch.bfloat16 if autocast else torch.float32)
        return torch.autograd.grad(y.float().square().sum(), inputs)

    for half, full in zip(gradients(True), gradients(False), strict=True):
        assert half.dtype == torch.float32
        assert (half - full).norm() < rounding(20, torch.bfloat16) * full.norm()


@in_float32()
@pytest.mark.parametrize("differentiated", [nullcontext, differentiated_twice])
def test_gradients_of_biases_do_not_overflow_in_half_precision(differentiated):
    """They are sums over all pixels; this one exceeds what float16 can hold."""
    layer = StyledLayer(3, 4, 5)
    torch.nn.init.ones_(layer.bias)  # beyond the kink
    torch.nn.init.zeros_(layer.conv.weight)
    with differentiated(), torch.autocast("cpu", torch.float16):
        y = styled(layer, torch.randn(16, 3, 64, 64), torch.randn(16, 5), torch.randn(16, 1, 64, 64))
    [gradient] = torch.autograd.grad(y, layer.bias, torch.ones_like(y))
    torch.testing.assert_close(gradient, torch.full((4,), 16 * 64 * 64 * 2**0.5))


@in_float32()
@torch.no_grad()
@pytest.mark.parametrize("twice", [False, True])
def test_large_styles_do_not_overflow_in_half_precision(twice):
    """The squares of these styles exceed what float16 can hold; demodulation removes them from the result."""
    torch.manual_seed(0)
    layer = StyledLayer(16, 16, 8)
    layer.conv.affine.bias.fill_(5000.0)
    assert 5000.0**2 * layer.conv.gain**2 > torch.finfo(torch.float16).max
    arguments = torch.randn(4, 16, 8, 8), torch.randn(4, 8), torch.randn(4, 1, 8, 8)
    full = styled(layer, *arguments)
    with torch.autocast("cpu", torch.float16):
        if twice:
            with differentiated_twice():
                half = styled(layer, *arguments)
        else:
            half = styled(layer, *arguments)
    assert (half.float() - full).norm() < rounding(20, torch.float16) * full.norm()
