"""Compute a step's gradient from parts of the batch; the contrast covers each part or the whole batch.

A contrastive loss is not a sum over samples, so the parts' losses do not add up to the batch's loss. Gradient caching
(GradCache, arXiv:2101.06983) solves this: embed all parts without a graph, differentiate the contrast of the whole
batch with respect to the embeddings, then run each part again and pass it its rows of this gradient.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from clipgan.base.distributed import total, world_size

Embeddings = Mapping[str, Tensor]  # space -> [N, d], unit length
Values = dict[str, Tensor]
Part = TypeVar("Part")  # some rows of a batch


def backward(
    parts: Sequence[Part],
    forward: Callable[[Part], tuple[Tensor, Embeddings]],
    contrast: Callable[[Embeddings, Sequence[Part]], tuple[Tensor | float, Values]],
    embed: Callable[[Part], Embeddings] | None,
    scaler: torch.amp.GradScaler,
) -> tuple[Tensor, Values]:
    """Add a step's gradient to the parameters.

    Args:
        parts: this process's rows, in equal parts.
        forward: a part's adversarial loss, a mean over its rows, and its embeddings; the same when called twice.
        contrast: the contrastive loss of the rows of some parts, over all processes, and its values to log.
        embed: the embeddings alone, for a contrast over the whole batch; None: a contrast over each part.
        scaler: scales the gradient if the precision needs it.

    Returns:
        The adversarial loss of the whole batch, and the contrast's values.
    """
    share = 1 / (len(parts) * world_size())
    adversarial: Tensor | float = 0.0
    values: Values = {}
    cached: list[dict[str, Tensor]] = []
    if embed is not None and len(parts) > 1:
        cached, values = _cached_gradients(parts, embed, contrast)
    for number, part in enumerate(parts):
        loss, embedded = forward(part)
        loss = loss if share == 1 else loss * share
        adversarial = adversarial + loss.detach() if number else loss.detach()
        if cached:
            contrastive: Tensor | float = sum(
                ((embedded[space] * gradient).sum() for space, gradient in cached[number].items()), 0.0
            )
        else:
            contrastive, of_part = contrast(embedded, [part])
            if len(parts) == 1:  # a product by 1 for each value would cost as much as the contrast
                values = of_part
            else:
                contrastive = contrastive / len(parts)
                values = {name: values.get(name, 0.0) + value / len(parts) for name, value in of_part.items()}
        scaler.scale(loss + contrastive).backward()
    return total(torch.as_tensor(adversarial)), values


def _cached_gradients(
    parts: Sequence[Part],
    embed: Callable[[Part], Embeddings],
    contrast: Callable[[Embeddings, Sequence[Part]], tuple[Tensor | float, Values]],
) -> tuple[list[dict[str, Tensor]], Values]:
    """Compute the gradient of the whole batch's contrast for each part's embeddings, and the contrast's values."""
    with torch.no_grad():
        embedded = [embed(part) for part in parts]
    whole = {space: torch.cat([rows[space] for rows in embedded]).requires_grad_() for space in embedded[0]}
    loss, values = contrast(whole, parts)
    if not isinstance(loss, Tensor):  # no term
        return [], values
    gradients = torch.autograd.grad(loss, list(whole.values()))
    by_part = [gradient.chunk(len(parts)) for gradient in gradients]
    return [
        {space: rows[number] for space, rows in zip(whole, by_part, strict=True)} for number in range(len(parts))
    ], values
