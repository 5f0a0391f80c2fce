"""Does the picture show its caption? A CLIP that did not guide looks for the caption among others (R-precision).

Shapes: N images, C width of the judge's embedding.
"""

from typing import Self

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from clipgan.config import MetricsConfig
from clipgan.data.pack import Split
from clipgan.encoders.clip import FrozenClip
from clipgan.metrics.fid import GeneratedImages, evenly
from clipgan.networks.generator import TextToImage

CANDIDATES = 100  # captions that each image is compared with, its own among them
IMAGES = 1000


class Retrieval:
    """Top-1 retrieval of an image's caption among `CANDIDATES` held-out ones (or all, where there are fewer)."""

    def __init__(
        self, judge: FrozenClip, texts: Tensor, prompts: Tensor, config: MetricsConfig, device: torch.device
    ) -> None:
        """
        Args:
            judge: the CLIP that compares.
            texts: the judge's embeddings of the captions, [N, C], unit length.
            prompts: what the guiding CLIP makes of the same captions, in the same order: the generator's conditions.
        """
        self.judge, self.config, self.device = judge, config, device
        self.candidates = min(CANDIDATES, len(texts))
        count = len(texts) // self.candidates * self.candidates
        self.texts, self.prompts = texts[:count], prompts[:count]
        self.key = f"retrieval{self.candidates}_clip_tiny"

    @classmethod
    def of(
        cls, judge: FrozenClip | None, split: Split, prompts: Tensor, config: MetricsConfig, device: torch.device
    ) -> Self | None:
        """The measure on a split's first captions; None without a judge, or without captions."""
        if judge is None or not any(split.captions):
            return None
        chosen = evenly(len(split), IMAGES)
        texts = judge.encode_text([split.captions[index][0] for index in chosen])
        return cls(judge, texts, prompts[chosen], config, device)

    @torch.no_grad()
    def __call__(self, generator: TextToImage, seed: int) -> float:
        """The share of images whose own caption is found, 0 to 1; by chance 1 / candidates where no caption repeats."""
        images = GeneratedImages(generator, self.prompts, len(self.prompts), seed, self.device)
        embedded = [
            self.judge.encode_image(batch.to(self.device).float() / 127.5 - 1)
            for batch in DataLoader(images, batch_size=self.config.batch)
        ]
        return top_1(torch.cat(embedded), self.texts, self.candidates)


def top_1(images: Tensor, texts: Tensor, candidates: int) -> float:
    """The share of images that no other caption of their group fits better than their own.

    Args:
        images: [N, C], unit length, N a multiple of `candidates`.
        texts: [N, C], unit length; the same caption twice in a group is no miss.
        candidates: size of a group; groups are runs of neighbours.
    """
    groups = [x.reshape(-1, candidates, x.shape[1]) for x in (images, texts)]
    scores = groups[0] @ groups[1].transpose(1, 2)  # [groups, image, caption]
    own = scores.diagonal(dim1=1, dim2=2)
    return float((own >= scores.amax(dim=2) - 1e-6).float().mean())
