"""InfoNCE between the images of a batch and their targets, in both directions.

Shapes: N samples, K further targets, d width of the space, T pairs of embeddings and targets. Symbols as in
docs/losses.md: a_i is an image's embedding, b_i its target.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from clipgan.models.losses.pairs import Selection, Selections, plain_views

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
    losses = contrasts([images], [targets], [temperature], similarity, selections, directions).flatten().unbind()
    return Contrast(losses[0] if directions[0] else None, losses[-1] if directions[1] else None)


def contrasts(
    images: Sequence[Tensor],
    targets: Sequence[Tensor],
    temperatures: Sequence[float],
    similarity: str,
    selections: Selections,
    directions: tuple[bool, bool],
) -> Tensor:
    """Compute InfoNCE of T pairs of embeddings and targets, all with the same N and K, at once.

    Args:
        images: a, [N, d] for each pair; d may differ.
        targets: b, [N + K, d] for each pair.
        temperatures: tau of each pair.
        similarity, selections, directions: see `contrast`; the same for all pairs.

    Returns:
        A row of T losses for each direction that is computed: [1, T] or [2, T].
    """
    forth, back = directions
    if not forth:
        targets = [own[: len(images[0])] for own in targets]
    options = _Options(
        temperatures,
        similarity == "exp_cos",
        selections.homologous if forth else None,
        selections.heterologous if back else None,
    )
    return _InfoNce.apply(options, *images, *targets)


def nt_xent(z: Tensor, temperature: float, selection: Selection | None = None, views: int = 2) -> Tensor:
    """Compute NT-Xent (arXiv:2002.05709) over V views of B images: the mean over all V B anchors i of

    -1/(V - 1) sum over j in P(i) of log( exp(z_i.z_j / tau) / sum over k != i of exp(z_i.z_k / tau) ),

    where P(i) has the other V - 1 views of i's image. For V = 2 this is SimCLR's equation 1. For V > 2 it is L_out
    (equation 2) of supervised contrastive learning (arXiv:2004.11362), in which each image is a class of its own.

    It equals L(a -> b) with another view of the image as target b_i and with the anchor excluded from its denominator.

    Args:
        z: [V B, d], unit length; i, i + B, i + 2 B, ... are views of one image.
        temperature: tau > 0.
        selection: positives and excluded pairs, see `select_views` and `select_images`; None: plain NT-Xent.
        views: V >= 2.
    """
    images = len(z) // views
    chosen = selection or plain_views(images, views, z.device)
    losses = contrast(
        z, z.roll(images, 0), temperature, selections=Selections(homologous=chosen), directions=(True, False)
    )
    assert losses.homologous is not None
    return losses.homologous


class _Options(NamedTuple):
    """The settings of `contrasts`; None in place of a selection skips its direction."""

    temperatures: Sequence[float]
    exponential: bool  # whether the logits are exp(cos / tau)
    forth: Selection | None
    back: Selection | None


class _InfoNce(torch.autograd.Function):
    """InfoNCE (arXiv:1807.03748) along the rows and along the columns of each pair's matrix of logits.

    L = sum_i w_i ( log sum_{j not excluded} exp l_ij - sum_j p_ij l_ij ). Plain InfoNCE has w_i = 1/N, no exclusions
    and p_ii = 1: L = -1/N sum_i log softmax_j(l)_ii. Several positives are averaged as in SupCon's L_out
    (arXiv:2004.11362), each over the whole denominator.

    The backward pass computes the gradient w_i ( softmax_ij - p_ij ) directly: autograd would read the matrices about
    three times as often. There is no second derivative.
    """

    @staticmethod
    def forward(ctx: Any, options: _Options, *embeddings: Tensor) -> Tensor:
        """Return a row of T losses for each direction; `embeddings` are all pairs' images, then all targets."""
        count = len(options.temperatures)
        images, targets = embeddings[:count], embeddings[count:]
        logits = images[0].new_empty(count, len(images[0]), len(targets[0]))
        for own, a, b, tau in zip(logits.unbind(), images, targets, options.temperatures, strict=True):
            torch.addmm(own, a, b.t(), beta=0, alpha=1 / tau, out=own)
        if options.exponential:
            logits.exp_()
        square = logits[:, :, : len(images[0])]
        chosen = ((options.forth, logits, 2), (options.back, square, 1))
        computed = [_direction(part, selection, dim) for selection, part, dim in chosen if selection is not None]
        ctx.temperatures, ctx.directions = options.temperatures, [direction for direction, _ in computed]
        ctx.save_for_backward(*embeddings, *([logits] if options.exponential else []))
        return torch.stack([losses for _, losses in computed])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients with respect to the embeddings."""
        count = len(ctx.temperatures)
        embeddings, logits = ctx.saved_tensors[: 2 * count], ctx.saved_tensors[2 * count :]
        of_logits = None
        for direction, own in zip(ctx.directions, gradient.unbind(), strict=True):
            of_logits = direction.add_gradient(of_logits, own)
        assert of_logits is not None
        if logits:
            of_logits.mul_(logits[0])
        result: list[Tensor | None] = [None] * (2 * count)
        pairs = zip(of_logits.unbind(), embeddings[:count], embeddings[count:], ctx.temperatures, strict=True)
        for place, (own, a, b, tau) in enumerate(pairs):
            if ctx.needs_input_grad[1 + place]:
                result[place] = torch.addmm(a, own, b, beta=0, alpha=1 / tau)
            if ctx.needs_input_grad[1 + count + place]:
                result[count + place] = torch.addmm(b, own.t(), a, beta=0, alpha=1 / tau)
        return None, *result


class _Direction(NamedTuple):
    """Tensors for the gradient of one direction; never the loss, since a context that holds its result is not freed."""

    dim: int  # the dimension of the candidates: 2 if anchors are rows, 1 if anchors are columns
    softmax: Tensor  # along `dim`, the shape of the logits
    positives: Tensor | None
    weights: Tensor | None  # [N]; None: 1 / N each

    def add_gradient(self, total: Tensor | None, gradient: Tensor) -> Tensor:
        """Return `gradient` [T] * w_i ( softmax_ij - p_ij ), in `total` if it is given, which has further columns."""
        count = self.softmax.shape[3 - self.dim]
        scale = gradient[:, None] / count if self.weights is None else gradient[:, None] * self.weights
        factor = scale.unsqueeze(self.dim)
        if total is None:
            own = total = self.softmax * factor
        else:
            own = total[:, :, :count].addcmul_(self.softmax, factor)
        if self.positives is None:
            own.diagonal(dim1=1, dim2=2).sub_(scale)
        else:
            own.addcmul_(self.positives, factor, value=-1)
        return total


def _direction(logits: Tensor, selection: Selection, dim: int) -> tuple[_Direction, Tensor]:
    """Compute the losses [T] of the direction whose candidates are along `dim`, and the tensors for their gradient."""
    positives, excluded, weights = selection
    kept = logits if excluded is None else logits.masked_fill(excluded, -math.inf)
    log_softmax = torch.log_softmax(kept, dim)
    losses = log_softmax.diagonal(dim1=1, dim2=2).neg()  # the diagonal is never excluded
    if positives is not None:
        losses += logits.diagonal(dim1=1, dim2=2) - (positives * logits).sum(dim)
    mean = losses.mean(dim=1) if weights is None else losses @ weights
    return _Direction(dim, log_softmax.exp_(), positives, weights), mean
