"""Generator and discriminator: shapes, the modulated convolution against its definition, what depends on what."""

import dataclasses
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F

from clipgan.base.randomness import normals
from clipgan.config import LafiteConfig, ModelConfig
from clipgan.models.networks.build import build_discriminator, build_generator
from clipgan.models.networks.cost import multiply_adds
from clipgan.models.networks.derivatives import differentiated_twice
from clipgan.models.networks.generator import Mapping, mapping_depth
from clipgan.models.networks.layers import (
    Conv,
    Linear,
    StyledLayer,
    ToRGB,
    channels_at,
    colours_derived_together,
    derived_together,
    minibatch_stddev,
    upsample,
)
from clipgan.models.networks.scales import Scales, scales_of
from tests.helpers import make_config
from tests.numeric import in_float32, in_float64, rounding

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]

MODEL = ModelConfig(z_dim=12, w_dim=10, text_dim=6, mapping_layers=2, channel_base=128, channel_max=16)
LARGE = dataclasses.replace(MODEL, channel_multiplier=1.5, mapping_multiplier=2)
MSG = dataclasses.replace(MODEL, multi_scale=True)
SEEDED = dataclasses.replace(MODEL, spatial_seed=True)
LAFITE = dataclasses.replace(MODEL, lafite=LafiteConfig(joined_to=8))  # both of its kinds of styles
C = 24


@pytest.fixture(
    scope="module",
    params=[(8, MODEL), (32, MODEL), (64, MODEL), (16, LAFITE), (16, LARGE), (32, MSG), (16, SEEDED)],
    ids=["8", "32", "64", "LAFITE", "large", "MSG", "seeded"],
)
def networks(request):
    torch.manual_seed(0)
    resolution, model = request.param
    with in_float64():
        return resolution, build_generator(model, C, resolution), build_discriminator(model, C, resolution)


def unit(n):
    return F.normalize(torch.randn(n, C), dim=1)


def generated(generator, n=4):
    ws = generator.broadcast(generator.mapping(torch.randn(n, 12)))
    return generator.scales(ws, unit(n), generator.draw_noise(n, torch.randn))


@pytest.mark.exact
@pytest.mark.parametrize("resolution", [16, 64, 256])
@pytest.mark.parametrize("name", ["tiny", "large", "msg"])
@torch.no_grad()
def test_shapes_of_the_shipped_models(name, resolution):
    model = make_config(f"model={name}", f"resolution={resolution}").model
    generator, discriminator = build_generator(model, C, resolution), build_discriminator(model, C, resolution)
    noise = generator.draw_noise(1, torch.randn)
    images = generator.scales(generator.broadcast(generator.mapping(torch.randn(1, model.z_dim))), unit(1), noise)
    sizes = [2**exponent for exponent in range(resolution.bit_length() - 1, 1, -1)]
    expected = [(1, 3, size, size) for size in (sizes if name == "msg" else sizes[:1])]
    assert [image.shape for image in images.all()] == expected
    judged = discriminator(images, unit(1))
    assert (judged.logits.shape, judged.semantic.shape) == ((1,), (1, C))
    factor = 2 if name == "large" else 1
    assert discriminator.from_rgb.weight.shape[0] == factor * min(384 // resolution, 64)
    assert len(generator.mapping.layers) == 2 * factor


def test_multiplied_channels_and_depth():
    model = ModelConfig(
        channel_base=100, channel_max=16, channel_multiplier=1.5, mapping_layers=3, mapping_multiplier=0.5
    )
    assert [channels_at(model, size) for size in (4, 8, 32, 256)] == [24, 18, 4, 2]  # of 16, 12, 3, 1
    assert mapping_depth(model) == 2
    assert mapping_depth(dataclasses.replace(model, mapping_multiplier=0.01)) == 1


@torch.no_grad()
def test_the_scales_of_a_generator_add_up_to_its_image():
    """Each is the one before, upsampled, and the RGB of its own resolution; the last is what one scale gives."""
    torch.manual_seed(0)
    many, one = build_generator(MSG, C, 32), build_generator(MODEL, C, 32)
    one.load_state_dict(many.state_dict())
    z, text = torch.randn(2, 12), unit(2)
    noise = many.draw_noise(2, torch.randn)
    rgbs = []
    for layer in (many.synthesis.first_rgb, *many.synthesis.rgbs):
        layer.register_forward_hook(lambda *args: rgbs.append(args[-1]))
    scales = many.scales(many.broadcast(many.mapping(z)), text, noise)
    total = rgbs[0]
    torch.testing.assert_close(scales.smaller[-1], total)
    for scale, own in zip(reversed(scales.all()[:-1]), rgbs[1:], strict=True):
        total = F.interpolate(total, scale_factor=2, mode="bilinear") + own
        torch.testing.assert_close(scale, total)
    assert torch.equal(scales.image, one(z, text, noise))


def test_real_scales_are_averages_over_squares():
    images = torch.randn(2, 3, 16, 16)
    scales = scales_of(images, True)
    assert torch.equal(scales.image, images)
    assert [scale.shape[-1] for scale in scales.smaller] == [8, 4]
    for scale in scales.smaller:
        edge = 16 // scale.shape[-1]
        for row, column in ((0, 0), (1, 3), (3, 2)):
            square = images[:, :, row * edge : (row + 1) * edge, column * edge : (column + 1) * edge]
            torch.testing.assert_close(scale[:, :, row, column], square.mean(dim=(2, 3)))
    assert scales_of(images, False).all() == (images,)


def test_gradient_passes_between_every_scale_of_g_and_d():
    """Of D to each scale that it sees, and of D through each scale alone to G."""
    torch.manual_seed(0)
    generator, discriminator = build_generator(MSG, C, 32), build_discriminator(MSG, C, 32)
    images, text = generated(generator), unit(4)
    for scale in images.all():
        scale.retain_grad()
    discriminator(images, text).logits.sum().backward(retain_graph=True)
    assert all(scale.grad.abs().max() > 0 for scale in images.all())
    first = generator.synthesis.constant
    for number, scale in enumerate(images.all()):
        alone = images.map(lambda x, own=scale: x if x is own else x.detach())
        (gradient,) = torch.autograd.grad(discriminator(alone, text).logits.sum(), first, retain_graph=True)
        assert gradient.abs().max() > 0, number


def test_operations_are_those_of_the_layers():
    """Of a small multi-scale model, by hand."""
    model = dataclasses.replace(MSG, channel_base=1000, channel_max=5)
    z, w, t, c = 12, 10, 6, 5
    mapping = z * w + w * w
    text = C * t + t * t
    affine, energy = (w + t) * c, c * c
    styled = {4: 16 * 9 * c * c + affine + energy, 8: 0}
    styled[8] = (16 + 64) * 9 * c * c + 2 * (affine + energy)  # the first one is convolved before it is doubled
    rgb = (16 + 64) * 3 * c + 2 * affine
    g = mapping + text + styled[4] + styled[8] + rgb
    d = 64 * 3 * c + 64 * 9 * c * c + 16 * 9 * c * c + 16 * c * c + 16 * (c + 3) * c  # RGB, the block, the joining
    d += 16 * 9 * (c + 1) * c + 16 * c * c + c + c * t + C * t + c * C
    assert multiply_adds(build_generator(model, C, 8), build_discriminator(model, C, 8), C) == {"G": g, "D": d}


@pytest.mark.exact
def test_shapes(networks):
    resolution, generator, discriminator = networks
    images = generator(torch.randn(4, 12), unit(4), generator.draw_noise(4, torch.randn))
    assert images.shape == (4, 3, resolution, resolution)
    judged = discriminator(generated(generator), unit(4))
    assert judged.logits.shape == (4,)
    assert judged.semantic.shape == (4, C)


def test_text_and_latent_change_the_image(networks):
    _, generator, _ = networks
    z, text = torch.randn(2, 12), unit(2)

    def draw(z, text):
        noise = generator.draw_noise(2, normals(torch.Generator().manual_seed(0)))
        return generator(z, text, noise)

    base = draw(z, text)
    torch.testing.assert_close(draw(z, text), base)
    assert (draw(z, text.flip(0)) - base).abs().max() > 1e-3
    assert (draw(z.flip(0), text) - base).abs().max() > 1e-3


def test_the_logit_depends_on_text_and_the_semantic_head_does_not(networks):
    _, generator, discriminator = networks
    images, text = generated(generator), unit(4)
    first, second = discriminator(images, text), discriminator(images, text.flip(0))
    torch.testing.assert_close(first.semantic, second.semantic)
    assert (first.logits - second.logits).abs().max() > 1e-3


def test_gradient_reaches_every_parameter(networks):
    _, generator, discriminator = networks
    judged = discriminator(generated(generator), unit(4))
    (judged.logits.sum() + judged.semantic.square().sum()).backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name
        network.zero_grad()


def modulated(conv, x, style, demodulate):
    """Equations 1 to 3 of arXiv:1912.04958, a weight for each sample."""
    samples = []
    for one, scale in zip(x, conv.affine(style), strict=True):
        weight = conv.weight * conv.gain * scale[None, :, None, None]
        if demodulate:
            weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        samples.append(F.conv2d(one[None], weight, padding=weight.shape[2] // 2))
    return torch.cat(samples)


@pytest.mark.parametrize("differentiated", [nullcontext, differentiated_twice])
def test_styled_layers_are_their_definitions(differentiated):
    """lrelu(conv(x) + strength * noise + bias) * sqrt 2; and conv(x) + bias."""
    torch.manual_seed(0)
    layer, colours = StyledLayer(5, 7, 4), ToRGB(5, 4)
    with torch.no_grad():
        layer.noise_strength.fill_(0.3)
        layer.bias.normal_()
        colours.bias.normal_()
    x, style, noise = torch.randn(2, 5, 6, 6), torch.randn(2, 4), torch.randn(2, 1, 6, 6)
    with differentiated():
        features = layer(x, style, *derived_together([layer], [style], [noise]))
        rgb = colours(x, style, *colours_derived_together([colours], [style]))
    y = modulated(layer.conv, x, style, demodulate=True) + 0.3 * noise + layer.bias[:, None, None]
    torch.testing.assert_close(features, F.leaky_relu(y, 0.2) * 2**0.5)
    torch.testing.assert_close(rgb, modulated(colours.conv, x, style, demodulate=False) + colours.bias[:, None, None])


@pytest.mark.parametrize("activate", [True, False])
def test_convolution_is_its_definition(activate):
    torch.manual_seed(0)
    conv = Conv(5, 7, 3, activate=activate)
    with torch.no_grad():
        conv.bias.normal_()
    x = torch.randn(2, 5, 6, 6)
    expected = F.conv2d(x, conv.weight / 45**0.5, conv.bias, padding=1)
    if activate:
        expected = F.leaky_relu(expected, 0.2) * 2**0.5
    torch.testing.assert_close(conv(x), expected)


def test_upsampling_is_the_1331_filter_inside():
    x = torch.randn(1, 1, 6, 6)
    kernel = torch.tensor([1.0, 3, 3, 1])
    kernel = (kernel[:, None] * kernel / 64 * 4)[None, None]
    zeros = torch.zeros(1, 1, 12, 12)
    zeros[:, :, ::2, ::2] = x
    expected = F.conv2d(F.pad(zeros, (2, 1, 2, 1)), kernel)
    torch.testing.assert_close(upsample(x)[:, :, 2:-2, 2:-2], expected[:, :, 2:-2, 2:-2])


def test_minibatch_stddev_is_the_mean_over_the_group():
    x = torch.randn(4, 3, 2, 2)
    channel = minibatch_stddev(x, 4)[:, 3:]
    expected = (x.var(dim=0, unbiased=False) + 1e-8).sqrt().mean()
    torch.testing.assert_close(channel, expected.expand(4, 1, 2, 2))


def test_a_micro_batch_has_the_groups_of_the_whole():
    x = torch.randn(8, 3, 2, 2)
    parts = torch.cat([minibatch_stddev(part, 4) for part in x.chunk(2)])
    torch.testing.assert_close(minibatch_stddev(x, 4), parts)
    assert float(parts[0, 3, 0, 0]) != float(parts[4, 3, 0, 0])


@torch.no_grad()
def test_one_pass_over_two_batches_of_whole_groups_is_two_passes():
    torch.manual_seed(0)
    discriminator, batches = build_discriminator(MODEL, C, 16), torch.randn(2, 8, 3, 16, 16)
    text = unit(8)
    assert [discriminator.joinable(rows) for rows in (4, 8, 2, 6)] == [True, True, False, False]
    assert not build_discriminator(LAFITE, C, 16).joinable(8)
    for rows in (8, 6):
        both = discriminator(Scales(batches[:, :rows].flatten(0, 1)), text[:rows].repeat(2, 1)).logits
        apart = torch.cat([discriminator(Scales(images[:rows]), text[:rows]).logits for images in batches])
        if discriminator.joinable(rows):
            torch.testing.assert_close(both, apart)
        else:
            assert (both - apart).abs().max() > 1e-3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
@in_float32()
def test_lafite_in_half_precision_stays_near(dtype):
    torch.manual_seed(0)
    generator, discriminator = build_generator(LAFITE, C, 16), build_discriminator(LAFITE, C, 16)
    text, z = unit(4), torch.randn(4, 12)
    full = generator(z, text, generator.stored_noise())
    judged = discriminator(Scales(full), text)
    seen = []
    generator.synthesis.blocks["16"].conv.register_forward_hook(lambda *args: seen.append(args[-1].dtype))
    discriminator.blocks["8"].register_forward_hook(lambda *args: seen.append(args[-1].dtype))
    with torch.autocast("cpu", dtype):
        half = generator(z, text, generator.stored_noise())
        half_judged = discriminator(Scales(full), text)
    assert seen == [dtype, dtype]
    for ours, theirs in [(half, full), (half_judged.logits, judged.logits), (half_judged.semantic, judged.semantic)]:
        assert ours.dtype == torch.float32
        assert (ours - theirs).abs().max() < rounding(20, dtype) * theirs.abs().max()  # as many layers


def test_linear_has_the_scale_of_its_inputs():
    torch.manual_seed(0)
    y = Linear(400, 300)(torch.randn(200, 400))
    assert float(y.std()) == pytest.approx(1, abs=0.03)


def test_a_spatial_seed_adds_a_map_of_the_first_style_to_the_start():
    torch.manual_seed(0)
    with in_float64():
        generator = build_generator(SEEDED, C, 8)
        synthesis = generator.synthesis
        style, starts = torch.randn(1, SEEDED.w_dim + SEEDED.text_dim), []
        synthesis.first.register_forward_pre_hook(lambda _, inputs: starts.append(inputs[0]))
        noise = generator.draw_noise(1, torch.randn)
        synthesis(style[:, None].expand(-1, generator.n_styles, -1), noise)
        weight, bias = synthesis.seed.weight / style.shape[1] ** 0.5, synthesis.seed.bias
        expected = synthesis.constant + (weight @ style[0] + bias).reshape(synthesis.constant.shape)
        torch.testing.assert_close(starts[0], expected)


def test_truncation_zero_is_the_average_latent(networks):
    _, generator, _ = networks
    text = unit(1).expand(3, C)
    images = generator(torch.randn(3, 12), text, generator.draw_noise(3, torch.randn), truncation=0.0)
    torch.testing.assert_close(images[0], images[1])  # noise strength starts at zero


@pytest.mark.usefixtures("float64")
def test_the_average_latent_is_one_from_the_first_steps_on():
    """An average that began at 0 would lack 82 % after 100 steps, and pull pictures towards w = 0."""
    mapping = Mapping(12, 10, layers=1)
    for _ in range(100):
        mapping.track(torch.full((10,), 3.0))
    torch.testing.assert_close(mapping.w_average, torch.full((10,), 3.0))
    mapping.track(torch.zeros(10))
    torch.testing.assert_close(mapping.w_average, torch.full((10,), 3.0 * 0.998))


def test_style_mixing_crosses_two_latents(networks):
    _, generator, _ = networks
    first, second = torch.randn(2, 2, 12)
    ws, layers = generator.mix(first, second, 2), generator.n_styles
    assert ws.shape == (2, layers, 10)
    for layer in range(layers):
        expected = generator.mapping(first if layer < 2 else second)
        torch.testing.assert_close(ws[:, layer], expected)
    plain = generator.mix(first, second, layers)
    torch.testing.assert_close(plain[:, -1], generator.mapping(first))
