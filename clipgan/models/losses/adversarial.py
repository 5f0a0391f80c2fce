"""The adversarial losses of StyleGAN2 and its two lazy regularisers, R1 and the path length.

Shapes: N batch, R resolution, L layers, W style width.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from clipgan.base.randomness import Draw


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Return the non-saturating loss softplus(-D(g)), the mean over [N] (arXiv:1406.2661)."""
    return F.softplus(-fake_logits).mean()


def discriminator_loss(fake_logits: Tensor, real_logits: Tensor) -> Tensor:
    """Return the logistic loss softplus(D(g)) + softplus(-D(x)), the mean over [N]."""
    return F.softplus(fake_logits).mean() + F.softplus(-real_logits).mean()


def r1_penalty(real_logits: Tensor, real_images: Sequence[Tensor]) -> Tensor:
    """Return E |grad_x D(x)|^2 (arXiv:1801.04406) without the factor gamma / 2, the mean over scales
    (arXiv:1903.06048).

    Args:
        real_logits: [N], computed from `real_images`.
        real_images: [N, 3, R, R] for each scale; each is a leaf tensor of its own that requires grad.
    """
    gradients = torch.autograd.grad(real_logits.sum(), real_images, create_graph=True)
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
