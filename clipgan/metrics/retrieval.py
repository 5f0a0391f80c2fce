"""CLIP score and R-precision: whether an image fits its caption, according to a CLIP that did not guide.

Shapes: N images, T different captions of these images, C width of the judge's embedding.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

CANDIDATES = 100  # captions per image, its own included
SEED = 0  # seed for drawing the other captions; the same for every run
SAME = 1e-6  # the judge cannot distinguish two texts with a cosine above 1 - SAME
AT_ONCE = 250  # images whose candidates are in memory at a time


def clip_score(images: Tensor, texts: Tensor) -> float:
    """Average 100 max(cos, 0) over images and captions. torchmetrics has this scale, arXiv:2104.08718 has 2.5.

    Args:
        images: [N, C], unit length.
        texts: [N, C], unit length.
    """
    return float(100 * (images * texts).sum(dim=1).clamp(min=0).mean())


def r_precision(images: Tensor, texts: Tensor, own: Tensor, candidates: int) -> float:
    """Compute the share of images that are closer to their own caption than to `candidates` - 1 others: 0 to 1.

    For each image, the other captions are random captions that differ from its own (AttnGAN, arXiv:1711.10485,
    section 4). A caption that the judge cannot distinguish from the own one is no miss. Chance is 1 / candidates.

    Args:
        images: [N, C], unit length.
        texts: [T, C], unit length, of different captions.
        own: the row of each image's caption in `texts`, int64 [N].
        candidates: at most T.
    """
    rng = np.random.default_rng(SEED)
    hits = []
    for some, mine in zip(images.split(AT_ONCE), own.split(AT_ONCE), strict=True):
        drawn = [rng.choice(len(texts) - 1, candidates - 1, replace=False, shuffle=False) for _ in some]
        others = torch.from_numpy(np.stack(drawn))
        others += others >= mine[:, None]  # an image's own caption is never drawn
        scores, alike = (torch.einsum("nc,nkc->nk", each, texts[others]) for each in (some, texts[mine]))
        own_score = (some * texts[mine]).sum(dim=1, keepdim=True)
        hits.append(((own_score > scores) | (alike > 1 - SAME)).all(dim=1))
    return torch.cat(hits).double().mean().item()


def are_varied(captions: Iterable[str]) -> bool:
    """Whether there are two different captions at least; among one alone, each image would find its own."""
    captions = iter(captions)
    first = next(captions, None)
    return any(caption != first for caption in captions)


def candidates_of(different: int) -> int:
    """Compute the number of candidate captions per image, if there are `different` different captions."""
    return min(CANDIDATES, different)


def different_texts(texts: list[str], encode: Callable[[list[str]], Tensor]) -> tuple[Tensor, Tensor]:
    """Encode each different text once: [T, C], and the row of each of the N texts, int64 [N]; on the CPU."""
    different = list(dict.fromkeys(texts))
    place = {text: row for row, text in enumerate(different)}
    return encode(different).cpu(), torch.tensor([place[text] for text in texts])
