"""InfoNCE between the images of a batch and their targets, in both directions.

Shapes: N samples, K further targets, d width of the space. Symbols as in docs/losses.md: a_i is an image's embedding,
b_i its target.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from clipgan.models.losses.pairs import Selection, Selections, anchor_mask

ALL_PLAIN = Selections()


class Contrast(NamedTuple):
    """The losses of the two directions, scalars; None for a direction that was not requested."""

    homologous: Tensor | None  # L(a -> b): the anchor is the image
    heterologous: Tensor | None  # L(b -> a): the anchor is the target


def contrast(
    images: Tensor,
    targets: Tensor,
    temperature: float,
    similarity: str = "cos",
    selections: Selections = ALL_PLAIN,
    directions: tuple[bool, bool] = (True, True),
) -> Contrast:
    """Compute InfoNCE in both directions between unit-length embeddings, from one similarity matrix.

    L(a -> b) = -1/N sum_i log( exp(a_i.b_i / tau) / sum_j exp(a_i.b_j / tau) ), and L(b -> a) with a and b exchanged.

    Args:
        images: a, [N, d], unit length.
        targets: b, [N + K, d], unit length; the last K are candidates of L(a -> b) only.
        temperature: tau > 0.
        similarity: `cos`: the logits are cos / tau; `exp_cos`: exp(cos / tau), as in LAFITE's published code, whose
            author calls it a mistake.
        selections: the positives, excluded pairs and weights; the default is plain InfoNCE.
        directions: whether to compute (L(a -> b), L(b -> a)).
    """
    forth, back = directions
    if not forth:
        targets = targets[: len(images)]
    logits = images @ (targets / temperature).T  # the smaller operand is scaled
    if similarity == "exp_cos":
        logits = logits.exp()
    homologous, heterologous = _InfoNce.apply(
        logits, selections.homologous if forth else None, selections.heterologous if back else None
    )
    return Contrast(homologous, heterologous)


def nt_xent(views: Tensor, temperature: float, selection: Selection | None = None) -> Tensor:
    """Compute NT-Xent (arXiv:2002.05709) over two views of N images: the mean over all 2 N anchors i of
    -log( exp(z_i.z_j / tau) / sum over k != i of exp(z_i.z_k / tau) ), where j is the other view of image i.

    It equals L(a -> b) with the other view as target b_i and with the anchor excluded from its own denominator.

    Args:
        views: z, [2 N, d], unit length; i and i + N are views of one image.
        temperature: tau > 0.
        selection: positives and excluded pairs, see `select_views` and `select_images`; None: plain NT-Xent.
    """
    count = len(views)
    chosen = selection or Selection(excluded=anchor_mask(count, views.device))
    losses = contrast(
        views,
        views.roll(count // 2, 0),
        temperature,
        selections=Selections(homologous=chosen),
        directions=(True, False),
    )
    assert losses.homologous is not None
    return losses.homologous


class _InfoNce(torch.autograd.Function):
    """InfoNCE (arXiv:1807.03748) along the rows of one matrix of logits and along its columns.

    L = sum_i w_i ( log sum_{j not excluded} exp l_ij - sum_j p_ij l_ij ). Plain InfoNCE has w_i = 1/N, no exclusions
    and p_ii = 1: L = -1/N sum_i log softmax_j(l)_ii. Several positives are averaged as in SupCon's L_out
    (arXiv:2004.11362), each over the whole denominator.

    The backward pass computes the gradient w_i ( softmax_ij - p_ij ) directly: autograd would read the matrix about
    three times as often. There is no second derivative.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, forth: Selection | None, back: Selection | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return a scalar for each direction of logits [N, N + K]; None in place of a selection skips its direction."""
        square = logits[:, : len(logits)]
        ctx.shape, ctx.options = logits.shape, {"dtype": logits.dtype, "device": logits.device}
        ctx.forth, loss_forth = (None, None) if forth is None else _direction(logits, forth, dim=1)
        ctx.back, loss_back = (None, None) if back is None else _direction(square, back, dim=0)
        return loss_forth, loss_back

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_forth: Tensor, grad_back: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient with respect to the logits."""
        total = torch.zeros(ctx.shape, **ctx.options)
        if ctx.forth is not None:
            ctx.forth.add_gradient(total, grad_forth)
        if ctx.back is not None:
            ctx.back.add_gradient(total[:, : ctx.shape[0]], grad_back)
        return total, None, None


class _Direction(NamedTuple):
    """Tensors for the gradient of one direction; never the loss, since a context that holds its result is not freed."""

    dim: int  # the dimension of the candidates: 1 if anchors are rows, 0 if anchors are columns
    softmax: Tensor  # along `dim`, the shape of the logits
    positives: Tensor | None
    weights: Tensor  # [N]

    def add_gradient(self, total: Tensor, gradient: Tensor) -> None:
        """Add `gradient` * w_i ( softmax_ij - p_ij ) to `total`."""
        scale = self.weights * gradient
        total.addcmul_(self.softmax, scale.unsqueeze(self.dim))
        if self.positives is None:
            total.diagonal().sub_(scale)
        else:
            total.addcmul_(self.positives, scale.unsqueeze(self.dim), value=-1)


def _direction(logits: Tensor, selection: Selection, dim: int) -> tuple[_Direction, Tensor]:
    """Compute the loss of the direction whose candidates are along `dim`, and the tensors for its gradient."""
    positives, excluded, weights = selection
    kept = logits if excluded is None else logits.masked_fill(excluded, -math.inf)
    log_softmax = torch.log_softmax(kept, dim)
    own = logits.diagonal()  # never excluded
    losses = own - log_softmax.diagonal() - (own if positives is None else (positives * logits).sum(dim))
    if weights is None:
        weights = torch.full_like(losses, 1 / len(losses))
    return _Direction(dim, log_softmax.exp_(), positives, weights), losses @ weights
