"""Generator and discriminator: shapes, the modulated convolution against its definition, what depends on what."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from clipgan.config import LafiteConfig, ModelConfig
from clipgan.networks.build import build_discriminator, build_generator
from clipgan.networks.layers import Conv, Linear, ModulatedConv, StyledLayer, minibatch_stddev, upsample
from clipgan.randomness import normals

MODEL = ModelConfig(z_dim=12, w_dim=10, text_dim=6, mapping_layers=2, channel_base=128, channel_max=16)
LAFITE = dataclasses.replace(MODEL, lafite=LafiteConfig(joined_to=8))  # both of its kinds of styles
C = 24


@pytest.fixture(
    scope="module", params=[(8, MODEL), (32, MODEL), (64, MODEL), (16, LAFITE)], ids=["8", "32", "64", "LAFITE"]
)
def networks(request):
    torch.manual_seed(0)
    resolution, model = request.param
    return resolution, build_generator(model, C, resolution), build_discriminator(model, C, resolution)


def unit(n):
    return F.normalize(torch.randn(n, C), dim=1)


def test_shapes(networks):
    resolution, generator, discriminator = networks
    images = generator(torch.randn(4, 12), unit(4), generator.draw_noise(4, torch.randn))
    assert images.shape == (4, 3, resolution, resolution)
    judged = discriminator(images, unit(4))
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
    resolution, _, discriminator = networks
    images, text = torch.randn(4, 3, resolution, resolution), unit(4)
    first, second = discriminator(images, text), discriminator(images, text.flip(0))
    torch.testing.assert_close(first.semantic, second.semantic)
    assert (first.logits - second.logits).abs().max() > 1e-3


def test_gradient_reaches_every_parameter(networks):
    _, generator, discriminator = networks
    judged = discriminator(generator(torch.randn(4, 12), unit(4), generator.draw_noise(4, torch.randn)), unit(4))
    (judged.logits.sum() + judged.semantic.square().sum()).backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name
        network.zero_grad()


def test_modulated_convolution_is_its_definition():
    """Equations 1 to 3 of arXiv:1912.04958, a weight for each sample."""
    torch.manual_seed(0)
    conv = ModulatedConv(5, 7, 4, kernel=3)
    x, style = torch.randn(2, 5, 6, 6), torch.randn(2, 4)
    for sample in range(2):
        scale = conv.affine(style)[sample]
        weight = conv.weight / (5 * 9) ** 0.5 * scale[None, :, None, None]
        weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        expected = F.conv2d(x[sample : sample + 1], weight, padding=1)
        torch.testing.assert_close(conv(x, style)[sample : sample + 1], expected, rtol=1e-4, atol=1e-5)


def test_styled_layer_is_its_definition():
    """lrelu(conv(x) + strength * noise + bias) * sqrt 2."""
    torch.manual_seed(0)
    layer = StyledLayer(5, 7, 4)
    with torch.no_grad():
        layer.noise_strength.fill_(0.3)
        layer.bias.normal_()
    x, style = torch.randn(2, 5, 6, 6), torch.randn(2, 4)
    y = layer.conv(x, style)
    noise = torch.randn(2, 1, 6, 6, generator=torch.Generator().manual_seed(4))
    expected = F.leaky_relu(y + 0.3 * noise + layer.bias[:, None, None], 0.2) * 2**0.5
    torch.testing.assert_close(layer(x, style, noise), expected)


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


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.05), (torch.float16, 0.01)])
@torch.no_grad()
def test_lafite_in_half_precision_stays_near(dtype, tolerance):
    torch.manual_seed(0)
    generator, discriminator = build_generator(LAFITE, C, 16), build_discriminator(LAFITE, C, 16)
    text, z = unit(4), torch.randn(4, 12)
    full = generator(z, text, generator.stored_noise())
    judged = discriminator(full, text)
    seen = []
    generator.synthesis.blocks["16"].conv.register_forward_hook(lambda *args: seen.append(args[-1].dtype))
    discriminator.blocks["8"].register_forward_hook(lambda *args: seen.append(args[-1].dtype))
    with torch.autocast("cpu", dtype):
        half = generator(z, text, generator.stored_noise())
        half_judged = discriminator(full, text)
    assert seen == [dtype, dtype]
    for ours, theirs in [(half, full), (half_judged.logits, judged.logits), (half_judged.semantic, judged.semantic)]:
        assert ours.dtype == torch.float32
        assert (ours - theirs).abs().max() < tolerance * theirs.abs().max()


def test_linear_has_the_scale_of_its_inputs():
    torch.manual_seed(0)
    y = Linear(400, 300)(torch.randn(200, 400))
    assert float(y.std()) == pytest.approx(1, abs=0.03)


def test_truncation_zero_is_the_average_latent(networks):
    _, generator, _ = networks
    text = unit(1).expand(3, C)
    images = generator(torch.randn(3, 12), text, generator.draw_noise(3, torch.randn), truncation=0.0)
    torch.testing.assert_close(images[0], images[1], rtol=0, atol=1e-4)  # noise strength starts at zero


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
