"""The adversarial losses and regularisers against closed forms."""

import math

import pytest
import torch

from clipgan.losses.adversarial import discriminator_loss, generator_loss, path_length_penalty, r1_penalty
from clipgan.randomness import normals


def test_losses_at_known_logits():
    logits = torch.tensor([0.0, 2.0])
    softplus = [math.log(2), math.log(1 + math.exp(2))]
    assert float(generator_loss(-logits)) == pytest.approx(sum(softplus) / 2)
    assert float(discriminator_loss(logits, -logits)) == pytest.approx(sum(softplus))


def test_r1_of_a_linear_discriminator_is_its_squared_norm():
    weight = torch.randn(3 * 4 * 4)
    images = torch.randn(5, 3, 4, 4, requires_grad=True)
    penalty = r1_penalty(images.flatten(1) @ weight, images)
    assert float(penalty) == pytest.approx(float(weight.square().sum()), rel=1e-5)


def test_path_length_of_a_linear_generator():
    """g = A w in every pixel: J^T y = A^T y; the mean starts at zero and moves by the decay."""
    torch.manual_seed(0)
    matrix = torch.randn(6, 3 * 8 * 8)
    ws = torch.randn(4, 2, 6, requires_grad=True)
    images = (ws.sum(dim=1) @ matrix).reshape(4, 3, 8, 8)
    draw = normals(torch.Generator().manual_seed(3))
    penalty, mean = path_length_penalty(images, ws, torch.zeros(()), draw)
    y = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(3)) / 8
    lengths = (y.reshape(4, -1) @ matrix.T).norm(dim=1)  # the same in both layers
    assert float(mean) == pytest.approx(0.01 * float(lengths.mean()), rel=1e-5)
    assert float(penalty) == pytest.approx(float((lengths - 0.01 * lengths.mean()).square().mean()), rel=1e-5)
