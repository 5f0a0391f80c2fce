"""The projected discriminator against a plain computation in NumPy, and its norms against the exact ones."""

import math

import numpy as np
import pytest
import torch

from clipgan.base.vectors import unit
from clipgan.models.networks.projected import ProjectedDiscriminator
from tests.numeric import CLOSE

pytestmark = pytest.mark.numeric

CHANNELS, WIDTH, TEXT, C = (5, 7), 6, 4, 9


@pytest.fixture
def discriminator():
    torch.manual_seed(0)
    return ProjectedDiscriminator(CHANNELS, WIDTH, TEXT, C)


def inputs(count=3):
    return [torch.randn(count, CHANNELS[0], 4, 4), torch.randn(count, CHANNELS[1], 2, 2)], unit(torch.randn(count, C))


def weight_of(layer):
    """The weight over the estimate of its spectral norm, from the estimated singular vectors."""
    norm = layer.parametrizations.weight
    plain = norm.original.detach().numpy()
    sigma = norm[0]._u.numpy() @ plain.reshape(len(plain), -1) @ norm[0]._v.numpy()
    return plain / sigma, layer.bias.detach().numpy()


def conv(x, layer):
    weight, bias = weight_of(layer)
    size, pad = weight.shape[-1], weight.shape[-1] // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    return np.einsum("ihwkl,oikl->ohw", windows, weight) + bias[:, None, None]


def normalised(x):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5)


def lrelu(x):
    return np.where(x > 0, x, 0.2 * x)


@pytest.mark.usefixtures("float64")
def test_it_equals_the_formula(discriminator):
    maps, text = inputs()
    other = unit(torch.randn(3, C))
    judged = discriminator(maps, text, other)
    for number in range(3):
        means, logits = [], {"own": [], "other": []}
        for head, x in zip(discriminator.heads, maps, strict=True):
            h = lrelu(normalised(conv(x[number].numpy(), head.enter)))
            h = (h + lrelu(normalised(conv(h, head.inner)))) / math.sqrt(2)
            means.append(h.mean(axis=(1, 2)))
            p = conv(h, head.project)
            for name, texts in (("own", text), ("other", other)):
                c = texts[number].numpy() * math.sqrt(C)
                layer = head.text_projection
                q = layer.weight.detach().numpy() @ c / math.sqrt(C) + layer.bias.detach().numpy()
                found = np.einsum("thw,t->hw", p, q) / math.sqrt(TEXT)
                logits[name].append(found.repeat(4 // len(found), 0).repeat(4 // len(found), 1).ravel())
        embedding = discriminator.embedding
        semantic = embedding.weight.detach().numpy() @ np.concatenate(means) / math.sqrt(2 * WIDTH)
        for ours, expected in (
            (judged.logits, np.concatenate(logits["own"])),
            (judged.mismatched, np.concatenate(logits["other"])),
            (judged.semantic, semantic),
        ):
            assert ours[number].detach().numpy() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.usefixtures("float64")
def test_an_image_is_judged_by_itself(discriminator):
    maps, text = inputs(4)
    whole = discriminator(maps, text)
    half = discriminator([x[2:] for x in maps], text[2:])
    torch.testing.assert_close(whole.logits[2:], half.logits, rtol=CLOSE, atol=CLOSE)
    torch.testing.assert_close(whole.semantic[2:], half.semantic, rtol=CLOSE, atol=CLOSE)


@pytest.mark.usefixtures("float64")
def test_steps_find_the_spectral_norms_and_passes_change_nothing(discriminator):
    maps, text = inputs()
    before = {name: value.clone() for name, value in discriminator.state_dict().items()}
    discriminator.train()(maps, text)
    assert all(torch.equal(value, before[name]) for name, value in discriminator.state_dict().items())
    for _ in range(500):  # the error shrinks by the ratio of the two largest singular values, squared
        discriminator.begin_step()
    for head in discriminator.heads:
        for layer in (head.enter, head.inner, head.project):
            singular = torch.linalg.svdvals(layer.weight.detach().flatten(1))
            assert float(singular[0]) == pytest.approx(1, rel=1e-4)
