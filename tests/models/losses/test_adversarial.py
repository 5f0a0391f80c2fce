"""The adversarial losses and regularisers against closed forms."""

import numpy as np
import pytest
import torch

from clipgan.base.randomness import normals
from clipgan.config import ADVERSARIAL_LOSSES, AdversarialConfig
from clipgan.models.losses.adversarial import (
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    path_length_penalty,
    path_lengths,
)
from tests.numeric import CLOSE

pytestmark = pytest.mark.numeric


def softplus(x):
    return np.logaddexp(0, x)


def relu(x):
    return np.maximum(0, x)


REFERENCES = {  # by the papers, for one image: D's loss and G's, from the logits of a generated and of a real image
    "nonsaturating": (lambda fake, real: softplus(fake) + softplus(-real), lambda fake, real: softplus(-fake)),
    "hinge": (lambda fake, real: relu(1 + fake) + relu(1 - real), lambda fake, real: -fake),
    "relativistic": (lambda fake, real: softplus(-(real - fake)), lambda fake, real: softplus(-(fake - real))),
}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("shape", [(5,), (5, 7)])
@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_each_loss_equals_its_formula(name, shape):
    """Also with mismatched captions, a second kind of fakes: their weight is 0.7 of that of generated images."""
    fake, real, other = np.random.default_rng(0).normal(size=(3, *shape)) * 2
    tensors = [torch.tensor(each) for each in (fake, real, other)]
    of_d, of_g = REFERENCES[name]
    assert float(generator_loss(AdversarialConfig(name), *tensors[:2])) == pytest.approx(
        of_g(fake, real).mean(), rel=CLOSE
    )
    assert float(discriminator_loss(AdversarialConfig(name), *tensors[:2])) == pytest.approx(
        of_d(fake, real).mean(), rel=CLOSE
    )
    expected = (of_d(fake, real) + 0.7 * of_d(other, real)).mean() / 1.7
    found = discriminator_loss(AdversarialConfig(name, mismatch=0.7), *tensors)
    assert float(found) == pytest.approx(expected, rel=CLOSE)


@pytest.mark.usefixtures("float64")
def test_the_published_mismatch_is_half_of_the_fakes():
    """GAN-INT-CLS: log s_r + (log(1 - s_w) + log(1 - s_f)) / 2, where s is D's probability that all is right."""
    fake, real, other = torch.randn(3, 6)
    s_r, s_w, s_f = real.sigmoid(), other.sigmoid(), fake.sigmoid()
    expected = -(s_r.log() + ((1 - s_w).log() + (1 - s_f).log()) / 2).mean()
    torch.testing.assert_close(discriminator_loss(AdversarialConfig(mismatch=1), fake, real, other), expected)


@pytest.mark.usefixtures("float64")
def test_r1_of_a_linear_discriminator_is_its_squared_norm():
    weight = torch.randn(3 * 4 * 4)
    images = torch.randn(5, 3, 4, 4, requires_grad=True)
    penalty = gradient_penalty(images.flatten(1) @ weight, [images])
    assert float(penalty) == pytest.approx(float(weight.square().sum()), rel=CLOSE)
    several = torch.stack([images.flatten(1) @ weight * factor for factor in (0.5, 1.5)], dim=1)  # D is their mean
    assert float(gradient_penalty(several, [images])) == pytest.approx(float(penalty), rel=CLOSE)


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
