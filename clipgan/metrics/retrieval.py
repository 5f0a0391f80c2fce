"""Does the picture show its caption? A CLIP that did not guide compares the two.

Shapes: N images, T different captions among theirs, C width of the judge's embedding.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

CANDIDATES = 100  # captions that each image is compared with, its own among them
SEED = 0  # of the others: the same for every run
SAME = 1e-6  # below 1: a cosine of texts that are spelled otherwise and read the same
AT_ONCE = 250  # images, whose candidates' embeddings are in memory together


def clip_score(images: Tensor, texts: Tensor) -> float:
    """The mean of 100 max(cos, 0) over images and their captions, as torchmetrics scales it (arXiv:2104.08718 has 2.5).

    Args:
        images: [N, C], unit length.
        texts: [N, C], unit length.
    """
    return float(100 * (images * texts).sum(dim=1).clamp(min=0).mean())


def r_precision(images: Tensor, texts: Tensor, own: Tensor, candidates: int) -> float:
    """The share of images that their own caption fits better than any of candidates - 1 others: 0 to 1.

    The others are drawn at random, for each image anew, from the captions that differ from its own (AttnGAN,
    arXiv:1711.10485, section 4); one that reads the same to the judge is no miss. By chance it is 1 / candidates.

    Args:
        images: [N, C], unit length.
        texts: [T, C], unit length, of different captions.
        own: which of them each image's is, int64 [N].
        candidates: at most T.
    """
    rng = np.random.default_rng(SEED)
    hits = []
    for some, mine in zip(images.split(AT_ONCE), own.split(AT_ONCE), strict=True):
        drawn = [rng.choice(len(texts) - 1, candidates - 1, replace=False, shuffle=False) for _ in some]
        others = torch.from_numpy(np.stack(drawn))
        others += others >= mine[:, None]  # so that an image's own is never drawn
        scores, alike = (torch.einsum("nc,nkc->nk", each, texts[others]) for each in (some, texts[mine]))
        own_score = (some * texts[mine]).sum(dim=1, keepdim=True)
        hits.append(((own_score > scores) | (alike > 1 - SAME)).all(dim=1))
    return float(torch.cat(hits).float().mean())


def candidates_of(different: int) -> int:
    """How many captions an image is compared with where so many are different."""
    return min(CANDIDATES, different)


def different_texts(texts: list[str], encode: Callable[[list[str]], Tensor]) -> tuple[Tensor, Tensor]:
    """The T different ones of N texts, encoded [T, C], and which of them each text is, int64 [N]; on the CPU."""
    different = list(dict.fromkeys(texts))
    place = {text: row for row, text in enumerate(different)}
    return encode(different).cpu(), torch.tensor([place[text] for text in texts])
