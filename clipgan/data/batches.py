"""Training batches with their cached features; the batch of a step depends on the seed and the step alone.

Shapes: N batch, R resolution, C width of CLIP's embedding, Q width of the ResNet's.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clipgan.data.pack import Split
from clipgan.errors import UserError
from clipgan.features import SplitFeatures, to_images
from clipgan.randomness import stream_seed


@dataclass(frozen=True)
class Batch:
    """Real images, and what is known of them."""

    images: Tensor  # x, float32 [N, 3, R, R], in [-1, 1]
    text: Tensor  # u, float32 [N, C]: one caption of each image, drawn
    clip_image: Tensor  # v, float32 [N, C]
    resnet_image: Tensor | None  # r, float32 [N, Q]


def check_batch_size(size: int, split: Split) -> None:
    """Refuse a batch that is larger than the split.

    Raises:
        UserError: quotes both numbers.
    """
    if size > len(split):
        raise UserError(f"batch={size} is larger than the data set: it has {len(split)} training images")


class Batches:
    """Shuffled batches without end: every image once an epoch, mirrored half of the time, one of its captions drawn."""

    def __init__(
        self, split: Split, features: SplitFeatures, size: int, seed: int, device: torch.device, x_flip: bool
    ) -> None:
        """
        Args:
            x_flip: whether images are mirrored.

        Raises:
            UserError: `size` is larger than the split.
        """
        check_batch_size(size, split)
        self.split, self.features, self.size, self.seed, self.device = split, features, size, seed, device
        self.x_flip = x_flip
        self.per_epoch = len(split) // size
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int64)

    def at(self, step: int) -> Batch:
        """The batch of a step (0, 1, ...)."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._order = np.random.default_rng(stream_seed(self.seed, "order", epoch)).permutation(len(self.split))
            self._epoch = epoch
        index = self._order[place * self.size : (place + 1) * self.size]
        random = np.random.default_rng(stream_seed(self.seed, "flips and captions", step))
        flip = random.integers(2, size=self.size) if self.x_flip else np.zeros(self.size, dtype=np.int64)
        first, last = self.features.caption_start[index], self.features.caption_start[index + 1]
        caption = random.integers(first, last)
        packed = self.split.images[index]
        packed = np.where(flip[:, None, None, None] == 1, packed[..., ::-1], packed)
        resnet = self.features.resnet_image
        return Batch(
            images=to_images(packed, self.device),
            text=self._tensor(self.features.clip_text[caption]),
            clip_image=self._tensor(self.features.clip_image[flip, index]),
            resnet_image=None if resnet is None else self._tensor(resnet[flip, index]),
        )

    def _tensor(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(rows)).to(self.device, non_blocking=True)
