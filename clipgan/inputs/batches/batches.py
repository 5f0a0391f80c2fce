"""Training batches with their cached features; a step's batch depends only on the seed and the step.

Shapes: N batch, K further targets, R resolution, C width of CLIP's embedding, Q width of the ResNet's.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from clipgan.base.distributed import rank, world_size
from clipgan.base.errors import UserError
from clipgan.base.randomness import normals, stream, stream_seed
from clipgan.config import Config
from clipgan.inputs.data.pack import Split
from clipgan.inputs.features.encoding import to_device, to_images
from clipgan.inputs.features.feature_cache import SplitFeatures
from clipgan.inputs.features.neighbours import nearest_captioned
from clipgan.inputs.features.text_noise import perturb


@dataclass(frozen=True)
class Targets:
    """Features of real images that the contrastive terms compare generated images with."""

    text: Tensor  # u, float32 [N, C]: a random caption of each image, or its pseudo text
    clip_image: Tensor  # v, float32 [N, C]
    resnet_image: Tensor | None  # r, float32 [N, Q]

    def mapped(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply a function to each tensor of these rows."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        return replace(self, **{name: function(value) for name, value in own.items() if isinstance(value, Tensor)})

    def tensors(self) -> list[Tensor]:
        """List the tensors of these rows."""
        return [value for each in fields(self) if isinstance(value := getattr(self, each.name), Tensor)]


@dataclass(frozen=True)
class Batch(Targets):
    """Real images, their features and the conditions of G and D: the step's whole batch, or some of its rows."""

    images: Tensor  # x, float32 [N, 3, R, R], in [-1, 1]
    condition: Tensor  # c, float32 [N, C]: the condition of G and D
    further: Targets | None  # features of K other images, as negatives
    rows: range  # the numbers of these rows in the step's whole batch
    mismatched: Tensor | None = None  # c', float32 [N, C]: the condition of another image of the whole batch

    def part(self, rows: range) -> Self:
        """Select rows by their numbers in the whole batch."""
        place = self.place(rows)
        return replace(self.mapped(lambda tensor: tensor[place]), rows=rows)

    def place(self, rows: range) -> slice:
        """Convert row numbers in the whole batch to a slice of this batch's tensors."""
        return slice(rows.start - self.rows.start, rows.stop - self.rows.start)

    def halves(self, block: int) -> Self:
        """Keep the first half of each block of `block` rows; blocks of one row stay whole.

        The result's `rows` are numbers in the halved whole batch.
        """
        kept = max(1, block // 2)
        rows = range(self.rows.start // block * kept, self.rows.stop // block * kept)
        return replace(self.mapped(lambda tensor: tensor.unflatten(0, (-1, block))[:, :kept].flatten(0, 1)), rows=rows)

    def copied(self) -> Self:
        """Return a batch with tensors of its own."""
        return replace(self.mapped(Tensor.clone), further=self.further and self.further.mapped(Tensor.clone))

    def take(self, other: Self) -> None:
        """Copy another batch of the same shapes into this one's tensors."""
        for ours, theirs in zip(self.tensors(), other.tensors(), strict=True):
            ours.copy_(theirs)

    def tensors(self) -> list[Tensor]:
        """List all tensors, those of the further targets too."""
        return super().tensors() + ([] if self.further is None else self.further.tensors())

    def parts(self, count: int) -> list[Self]:
        """Split the batch into `count` equal runs of rows."""
        size = len(self.rows) // count
        starts = range(self.rows.start, self.rows.stop, size)
        return [self if count == 1 else self.part(range(start, start + size)) for start in starts]


def check_batch_size(config: Config, split: Split) -> None:
    """Refuse a batch size or a number of negatives that the split cannot fill.

    Raises:
        UserError: quotes the numbers.
    """
    if config.batch > len(split):
        raise UserError(f"batch={config.batch} is larger than the data set, which has {len(split)} training images")
    if config.batch + config.contrast.negatives > len(split):
        raise UserError(
            f"contrast.negatives={config.contrast.negatives} is too many: beside batch={config.batch} the data set has "
            f"{len(split) - config.batch} training images"
        )


def order_of(seed: int, epoch: int, count: int) -> np.ndarray:
    """Return the random order of `count` images in an epoch (0, 1, ...): int64 [count]."""
    return np.random.default_rng(stream_seed(seed, "order", epoch)).permutation(count)


class Batches:
    """Endless shuffled batches: each image once per epoch, mirrored half of the time, with one random caption."""

    def __init__(
        self, config: Config, split: Split, features: SplitFeatures, device: torch.device, x_flip: bool
    ) -> None:
        """Prepare batches on `device`; `x_flip` mirrors half of the images.

        Raises:
            UserError: the split has too few images.
        """
        check_batch_size(config, split)
        self.config, self.split, self.features, self.device, self.x_flip = config, split, features, device, x_flip
        self.size, self.seed = config.batch, config.seed
        each = self.size // world_size()
        self.rows = range(rank() * each, (rank() + 1) * each)  # this process's rows of a step's batch
        self.per_epoch = len(split) // self.size
        self._nearest = np.empty((0, 0), dtype=np.int64)
        if config.condition.language_free > 0 and config.condition.pseudo_text == "nearest":
            self._nearest = nearest_captioned(features, config.condition.neighbours, device)
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int64)

    def at(self, step: int) -> Batch:
        """Return this process's rows of the batch of a step (0, 1, ...)."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, order_of(self.seed, epoch, len(self.split))
        mine = slice(place * self.size, (place + 1) * self.size)
        rows, own = self.rows, slice(self.rows.start, self.rows.stop)
        index = self._order[mine]
        random = np.random.default_rng(stream_seed(self.seed, "flips and captions", step))
        flip = self._flips(random, self.size)
        targets, levels = self._targets(index, flip, random, step, "batch")
        packed = self.split.images[index[own]]
        packed = np.where(flip[own, None, None, None] == 1, packed[..., ::-1], packed)
        draw = normals(stream(self.seed, "text noise", step, self.device))
        further = None
        if count := self.config.contrast.negatives:
            places = random.choice(len(self.split) - self.size, count, replace=False)
            others = self._order[np.where(places < mine.start, places, places + self.size)]  # outside this batch
            further, _ = self._targets(others, self._flips(random, count), random, step, "further")
        condition = perturb(targets.text, levels, draw)
        mismatched = condition.roll(1, dims=0)[own] if self.config.adversarial.mismatch else None
        return Batch(
            text=targets.text[own],
            clip_image=targets.clip_image[own],
            resnet_image=None if targets.resnet_image is None else targets.resnet_image[own],
            images=to_images(packed, self.device),
            condition=condition[own],
            further=further,
            rows=rows,
            mismatched=mismatched,
        )

    def _flips(self, random: np.random.Generator, count: int) -> np.ndarray:
        return random.integers(2, size=count) if self.x_flip else np.zeros(count, dtype=np.int64)

    def _targets(
        self, index: np.ndarray, flip: np.ndarray, random: np.random.Generator, step: int, use: str
    ) -> tuple[Targets, Tensor]:
        """Return features of the images at `index`, and the noise level of each one's condition: float32 [N, 1]."""
        condition, features = self.config.condition, self.features
        clip_image = self._tensor(features.clip_image[flip, index])
        text, levels = (
            clip_image,
            torch.full((len(index), 1), condition.length(condition.text_noise), device=self.device),
        )
        if condition.language_free < 1:
            text = self._captions(index, random)
        if len(self._nearest):
            chosen = self._tensor(random.random((len(index), 1)) < condition.language_free)
            near = self._nearest[index, random.integers(condition.neighbours, size=len(index))]
            text = torch.where(chosen, self._captions(near, random), text)
        elif condition.language_free > 0:
            draw = normals(stream(self.seed, f"pseudo text of {use}", step, self.device))
            chosen = self._tensor(random.random((len(index), 1)) < condition.language_free)
            text = torch.where(chosen, perturb(clip_image, condition.length(condition.image_noise), draw), text)
            levels = levels.masked_fill(chosen, 0.0)  # a pseudo text already has its noise
        resnet = features.resnet_image
        return Targets(text, clip_image, None if resnet is None else self._tensor(resnet[flip, index])), levels

    def _captions(self, index: np.ndarray, random: np.random.Generator) -> Tensor:
        """Return the features of one random caption of each image at `index`."""
        first, last = self.features.caption_start[index], self.features.caption_start[index + 1]
        return self._tensor(self.features.clip_text[random.integers(first, last)])

    def _tensor(self, rows: np.ndarray) -> Tensor:
        tensor = to_device(np.ascontiguousarray(rows), self.device)
        return tensor.float() if tensor.is_floating_point() else tensor  # features are stored as float16
