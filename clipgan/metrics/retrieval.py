"""Does the picture show its caption? A CLIP that did not guide compares the two.

Shapes: N images and their captions, C width of the judge's embedding.
"""

from collections.abc import Callable

import torch
from torch import Tensor

CANDIDATES = 100  # captions that each image is compared with, its own among them


def clip_score(images: Tensor, texts: Tensor) -> float:
    """The mean of 100 max(cos, 0) over images and their captions, as torchmetrics scales it (arXiv:2104.08718 has 2.5).

    Args:
        images: [N, C], unit length.
        texts: [N, C], unit length.
    """
    return float(100 * (images * texts).sum(dim=1).clamp(min=0).mean())


def r_precision(images: Tensor, texts: Tensor, candidates: int) -> float:
    """The share of images that no other caption of their group fits better than their own: 0 to 1.

    By chance 1 / candidates where no caption repeats.

    Args:
        images: [N, C], unit length; a last group that is not whole is left out.
        texts: [N, C], unit length; the same caption twice in a group is no miss.
        candidates: size of a group, at most N; groups are runs of neighbours.
    """
    count = len(images) // candidates * candidates
    groups = [x[:count].reshape(-1, candidates, x.shape[1]) for x in (images, texts)]
    scores = groups[0] @ groups[1].transpose(1, 2)  # [groups, image, caption]
    own = scores.diagonal(dim1=1, dim2=2)
    return float((own >= scores.amax(dim=2) - 1e-6).float().mean())


def candidates_of(count: int) -> int:
    """How many captions an image is compared with where there are `count`."""
    return min(CANDIDATES, count)


def text_rows(texts: list[str], encode: Callable[[list[str]], Tensor]) -> Tensor:
    """[N, C] of N captions, each different one encoded once."""
    different = list(dict.fromkeys(texts))
    place = {text: row for row, text in enumerate(different)}
    return encode(different)[torch.tensor([place[text] for text in texts])].cpu()
