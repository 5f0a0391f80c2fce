"""Interpolations begin and end at the pictures that they are between."""

import math

import pytest
import torch

from clipgan.sampling.strips import latent_strip, slerp, text_strip


def test_between_two_seeds(sampler):
    strip = latent_strip(sampler, "a red circle", (3, 5), 4, 0.7)
    condition = sampler.condition("a red circle")
    assert torch.equal(strip[0], sampler.image(condition, 3, 0.7))
    assert torch.equal(strip[3], sampler.synthesise(sampler.style(5), condition, 3, 0.7))  # with the first's noise
    assert len(strip) == 4


def test_between_two_prompts(sampler):
    strip = text_strip(sampler, ("a red circle", "a blue star"), 3, 3, 1.0)
    first, last = (sampler.image(sampler.condition(prompt), 3) for prompt in ("a red circle", "a blue star"))
    assert torch.equal(strip[0], first)
    assert torch.equal(strip[2], last)


def test_slerp_turns_evenly():
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    third = math.pi / 6
    torch.testing.assert_close(slerp(a, b, 1 / 3), torch.tensor([[math.cos(third), math.sin(third)]]))
    assert slerp(a, a, 0.5).tolist() == a.tolist()


@pytest.mark.parametrize("t", [0.0, 1.0])
def test_slerp_ends_exactly(t):
    a, b = torch.nn.functional.normalize(torch.randn(2, 1, 8), dim=2)
    assert torch.equal(slerp(a, b, t), b if t else a)
