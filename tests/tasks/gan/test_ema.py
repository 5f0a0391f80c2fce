"""The moving average of G against its closed form."""

import pytest
import torch

from clipgan.config import ModelConfig
from clipgan.models.networks.generator import Generator
from clipgan.tasks.gan.ema import MovingAverage, ema_decay

pytestmark = pytest.mark.numeric

MODEL = ModelConfig(z_dim=4, w_dim=4, text_dim=4, mapping_layers=1, channel_base=32, channel_max=4)


def test_ema_decay_is_a_half_life():
    model = ModelConfig(ema_kimg=1, ema_rampup=0)
    assert ema_decay(model, images=10**6, batch=10) ** 100 == pytest.approx(0.5)
    ramped = ModelConfig(ema_kimg=1, ema_rampup=0.05)
    assert ema_decay(ramped, images=2000, batch=10) ** 10 == pytest.approx(0.5)  # half-life 0.05 * 2000 images


@pytest.mark.usefixtures("float64")
def test_ema_of_every_parameter_and_buffer():
    average, generator = Generator(MODEL, 8, 8), Generator(MODEL, 8, 8)
    generator.mapping.w_average.fill_(3)
    expected = [0.9 * a + 0.1 * g for a, g in zip(average.parameters(), generator.parameters(), strict=True)]
    MovingAverage(average, generator).update(0.9)
    for mean, value in zip(average.parameters(), expected, strict=True):
        torch.testing.assert_close(mean, value)
    assert (average.mapping.w_average == 3).all()
