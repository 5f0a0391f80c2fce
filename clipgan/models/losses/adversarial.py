"""The adversarial losses, D's gradient penalties R1 and R2, and G's path-length regulariser.

Shapes: N batch, M logits of an image, R resolution, L layers, W style width.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from clipgan.base.randomness import Draw
from clipgan.config import AdversarialConfig


class Game(NamedTuple):
    """The losses of both networks: functions of the logits D(g) and D(x), [N] or [N, M], row i of both of caption i."""

    discriminator: Callable[[Tensor, Tensor], Tensor]  # (D(g), D(x)) -> a scalar
    generator: Callable[[Tensor, Tensor], Tensor]
    relative: bool = False  # whether G's loss reads D(x) as well


GAMES = {
    # softplus(D(g)) + softplus(-D(x)), and the non-saturating softplus(-D(g)) (arXiv:1406.2661)
    "nonsaturating": Game(
        lambda fake, real: F.softplus(fake).mean() + F.softplus(-real).mean(),
        lambda fake, real: F.softplus(-fake).mean(),
    ),
    # max(0, 1 + D(g)) + max(0, 1 - D(x)), and -D(g) (arXiv:1705.02894)
    "hinge": Game(
        lambda fake, real: F.relu(1 + fake).mean() + F.relu(1 - real).mean(),
        lambda fake, real: -fake.mean(),
    ),
    # RpGAN: softplus(D(g) - D(x)), and softplus(D(x) - D(g)) (arXiv:1807.00734, arXiv:2501.05441)
    "relativistic": Game(
        lambda fake, real: F.softplus(fake - real).mean(),
        lambda fake, real: F.softplus(real - fake).mean(),
        relative=True,
    ),
}


def generator_loss(config: AdversarialConfig, fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
    """Return G's loss, a scalar: the mean over images and their logits.

    Args:
        config: names the loss.
        fake_logits: D(g), [N] or [N, M].
        real_logits: D(x) of the same captions, without gradient; None unless the loss is relative.
    """
    return GAMES[config.name].generator(fake_logits, fake_logits if real_logits is None else real_logits)


def discriminator_loss(
    config: AdversarialConfig, fake_logits: Tensor, real_logits: Tensor, mismatched_logits: Tensor | None = None
) -> Tensor:
    """Return D's loss, a scalar: the mean over images and their logits.

    With weight m = `config.mismatch` it is ( L(D(g, c), D(x, c)) + m L(D(x, c'), D(x, c)) ) / (1 + m), where c' is the
    caption of another image: D also learns that a real image with a wrong caption is a fake (arXiv:1605.05396, with
    m = 1).

    Args:
        config: names the loss L, and has m.
        fake_logits: D(g, c), [N] or [N, M].
        real_logits: D(x, c), the same shape.
        mismatched_logits: D(x, c'), the same shape; None if m is 0.
    """
    loss = GAMES[config.name].discriminator
    if mismatched_logits is None:
        return loss(fake_logits, real_logits)
    both = loss(fake_logits, real_logits) + config.mismatch * loss(mismatched_logits, real_logits)
    return both / (1 + config.mismatch)


def gradient_penalty(logits: Tensor, inputs: Sequence[Tensor]) -> Tensor:
    """Return E |grad D|^2 without the factor gamma / 2: R1 for real images, R2 for generated ones (arXiv:1801.04406).

    Several inputs are the scales of a multi-scale D (arXiv:1903.06048), or the feature maps that a projected D reads.
    The penalty is their mean.

    Args:
        logits: [N] or [N, M], computed from `inputs`; D is the mean over M.
        inputs: [N, C, H, H] each, leaf tensors that require grad.
    """
    of_images = logits if logits.ndim == 1 else logits.mean(dim=1)
    gradients = torch.autograd.grad(of_images.sum(), inputs, create_graph=True)
    return torch.stack([gradient.square().sum(dim=(1, 2, 3)).mean() for gradient in gradients]).mean()


def path_lengths(images: Tensor, ws: Tensor, draw: Draw) -> Tensor:
    """Return |J_w^T y|, y ~ N(0, I) (arXiv:1912.04958, section 3.2), for each image: [N], differentiable.

    Args:
        images: [N, 3, R, R], computed from `ws`.
        ws: [N, L, W], requires grad.
        draw: draws y.
    """
    noise = draw(images.shape) / math.sqrt(images.shape[2] * images.shape[3])
    (gradient,) = torch.autograd.grad((images * noise).sum(), ws, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()


def path_length_penalty(lengths: Tensor, mean: Tensor) -> Tensor:
    """Return E (|J_w^T y| - a)^2 for the `lengths` |J_w^T y| [N] and their moving average a, the scalar `mean`."""
    return (lengths - mean).square().mean()
