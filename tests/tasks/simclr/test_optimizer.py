"""LARS and its schedule, worked out by hand."""

import pytest
import torch
from torch import nn

from clipgan.config.simclr import SimclrConfig
from clipgan.tasks.simclr.optimizer import lars, rate

pytestmark = pytest.mark.numeric


@pytest.mark.usefixtures("float64")
def test_two_steps_of_lars_are_the_formula():
    config = SimclrConfig(momentum=0.9, weight_decay=0.1, trust=0.01)
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    optimizer = lars(layer, config)
    velocity, drift = torch.zeros_like(weight), torch.zeros_like(bias)
    for gradient in (torch.tensor([[1.0, 2, 3], [-1, 0, 2]]), torch.tensor([[0.5, -2, 1], [1, 1, 1]])):
        layer.weight.grad, layer.bias.grad = gradient.clone(), gradient[:, 0].clone()
        for group in optimizer.param_groups:
            group["lr"] = 0.2
        optimizer.step()
        ratio = 0.01 * weight.norm() / (gradient.norm() + 0.1 * weight.norm())
        velocity = 0.9 * velocity + ratio * (gradient + 0.1 * weight)
        drift = 0.9 * drift + gradient[:, 0]  # a bias neither decays nor adapts
        weight, bias = weight - 0.2 * velocity, bias - 0.2 * drift
        torch.testing.assert_close(layer.weight.detach(), weight)
        torch.testing.assert_close(layer.bias.detach(), bias)


@pytest.mark.usefixtures("float64")
def test_a_layer_adapts_without_decay_too():
    layer = nn.Linear(2, 2, bias=False)
    before = layer.weight.detach().clone()
    optimizer = lars(layer, SimclrConfig(weight_decay=0.0, trust=0.01))
    layer.weight.grad = torch.ones(2, 2)
    optimizer.param_groups[0]["lr"] = 1.0
    optimizer.step()
    torch.testing.assert_close(before - layer.weight.detach(), torch.full((2, 2), 0.01 * float(before.norm()) / 2))


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.12), (4, 0.6), (9, 1.2), (10, 1.2), (55, 0.6), (99, 1.2 * 0.00030458649)],
)
def test_the_rate_rises_in_a_tenth_of_the_steps_and_falls_as_half_a_cosine(step, expected):
    assert rate(SimclrConfig(lr=0.6, warmup=0.1), 512, step, 100) == pytest.approx(expected)


def test_without_warmup_it_begins_at_its_peak():
    assert rate(SimclrConfig(lr=0.6, warmup=0.0), 256, 0, 7) == pytest.approx(0.6)
