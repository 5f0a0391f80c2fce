"""Make shuffled batches of images with their cached CLIP features; a batch depends only on seed and step.

Shapes: N batch, n rows of this process, R resolution, C width of CLIP's embedding.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clipgan.base.distributed import rank, world_size
from clipgan.base.errors import UserError
from clipgan.inputs.batches.batches import order_of
from clipgan.inputs.data.pack import Split
from clipgan.inputs.features.encoding import to_device


@dataclass(frozen=True)
class ImageBatch:
    """Images of a step."""

    images: Tensor  # float32 [n, 3, R, R] in [0, 1]
    rows: range  # these rows' numbers in the whole batch
    features: Tensor | None  # CLIP's features of the whole batch, float32 [N, C]; None if not needed


class ImageBatches:
    """Yields each image at most once per epoch, in whole batches."""

    def __init__(self, split: Split, features: np.ndarray | None, batch: int, seed: int, device: torch.device) -> None:
        """
        Args:
            split: the images.
            features: CLIP's features, one row per image; None if not needed.
            batch: N.
            seed: determines the order.
            device: device of the batches.

        Raises:
            UserError: the split has too few images.
        """
        if batch > len(split):
            raise UserError(f"batch={batch} is larger than the data set: it has {len(split)} training images")
        self.split, self.features, self.size, self.seed, self.device = split, features, batch, seed, device
        self.per_epoch = len(split) // batch
        each = batch // world_size()
        self.rows = range(rank() * each, (rank() + 1) * each)
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def indices(self, step: int) -> np.ndarray:
        """Return the indices of the images in the whole batch of a step (0, 1, ...)."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, order_of(self.seed, epoch, len(self.split))
        return self._order[place * self.size : (place + 1) * self.size]

    def at(self, step: int) -> ImageBatch:
        """Load this process's images of a step."""
        index = self.indices(step)
        packed = self.split.images[index[self.rows.start : self.rows.stop]]
        features = None
        if self.features is not None:
            features = to_device(np.ascontiguousarray(self.features[index]), self.device).float()
        return ImageBatch(to_device(packed, self.device).float() / 255, self.rows, features)
