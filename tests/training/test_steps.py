"""The steps: what each updates, and the moving average against its closed form."""

import pytest
import torch

from clipgan.config import ModelConfig
from clipgan.networks.generator import Generator
from clipgan.randomness import stream, stream_seed
from clipgan.training.ema import ema_decay, update_ema
from clipgan.training.steps import condition_on

MODEL = ModelConfig(z_dim=4, w_dim=4, text_dim=4, mapping_layers=1, channel_base=32, channel_max=4)


def test_text_noise_has_the_given_length_before_normalisation():
    text = torch.nn.functional.normalize(torch.randn(1000, 16), dim=1)
    noisy = condition_on(text, 0.1, stream(0, "test"))
    torch.testing.assert_close(noisy.norm(dim=1), torch.ones(1000))
    # |u + 0.1 n| = 1 has the angle arcsin(0.1) at most, and about that where n is orthogonal to u
    angles = (noisy * text).sum(1).clamp(-1, 1).acos()
    assert float(angles.max()) <= 0.1002
    assert float(angles.mean()) == pytest.approx(0.0965, abs=0.002)
    assert condition_on(text, 0.0, stream(0, "test")) is text


def test_ema_decay_is_a_half_life():
    model = ModelConfig(ema_kimg=1, ema_rampup=0)
    assert ema_decay(model, images=10**6, batch=10) ** 100 == pytest.approx(0.5)
    ramped = ModelConfig(ema_kimg=1, ema_rampup=0.05)
    assert ema_decay(ramped, images=2000, batch=10) ** 10 == pytest.approx(0.5)  # half-life 0.05 * 2000 images


def test_ema_of_every_parameter_and_buffer():
    average, generator = Generator(MODEL, 8, 8), Generator(MODEL, 8, 8)
    generator.mapping.w_average.fill_(3)
    expected = [0.9 * a + 0.1 * g for a, g in zip(average.parameters(), generator.parameters(), strict=True)]
    update_ema(average, generator, 0.9)
    for mean, value in zip(average.parameters(), expected, strict=True):
        torch.testing.assert_close(mean, value)
    assert (average.mapping.w_average == 3).all()


def test_streams_depend_on_seed_name_and_index_only():
    seeds = {stream_seed(seed, name, index) for seed in (0, 1) for name in ("a", "b") for index in (0, 1)}
    assert len(seeds) == 8
    torch.testing.assert_close(torch.randn(3, generator=stream(1, "a", 5)), torch.randn(3, generator=stream(1, "a", 5)))
