"""The adversarial losses and regularisers against closed forms."""

import math

import pytest
import torch

from clipgan.base.randomness import normals
from clipgan.models.losses.adversarial import (
    discriminator_loss,
    generator_loss,
    path_length_penalty,
    path_lengths,
    r1_penalty,
)
from tests.numeric import CLOSE

pytestmark = pytest.mark.numeric


@pytest.mark.usefixtures("float64")
def test_losses_at_known_logits():
    logits = torch.tensor([0.0, 2.0])
    softplus = [math.log(2), math.log(1 + math.exp(2))]
    assert float(generator_loss(-logits)) == pytest.approx(sum(softplus) / 2, rel=CLOSE)
    assert float(discriminator_loss(logits, -logits)) == pytest.approx(sum(softplus), rel=CLOSE)


@pytest.mark.usefixtures("float64")
def test_r1_of_a_linear_discriminator_is_its_squared_norm():
    weight = torch.randn(3 * 4 * 4)
    images = torch.randn(5, 3, 4, 4, requires_grad=True)
    penalty = r1_penalty(images.flatten(1) @ weight, [images])
    assert float(penalty) == pytest.approx(float(weight.square().sum()), rel=CLOSE)


@pytest.mark.usefixtures("float64")
def test_path_length_of_a_linear_generator():
    """g = A w in every pixel: J^T y = A^T y."""
    torch.manual_seed(0)
    matrix = torch.randn(6, 3 * 8 * 8)
    ws = torch.randn(4, 2, 6, requires_grad=True)
    images = (ws.sum(dim=1) @ matrix).reshape(4, 3, 8, 8)
    draw = normals(torch.Generator().manual_seed(3))
    found = path_lengths(images, ws, draw)
    y = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(3)) / 8
    lengths = (y.reshape(4, -1) @ matrix.T).norm(dim=1)  # the same in both layers
    torch.testing.assert_close(found, lengths)
    assert float(path_length_penalty(found, torch.tensor(0.3))) == pytest.approx(float(((lengths - 0.3) ** 2).mean()))
