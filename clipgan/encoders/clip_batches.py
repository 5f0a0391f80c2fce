"""The batches that the small CLIP learns from.

Retrieval within a random batch is solved by colour and place: shapes are told apart only when the candidates differ in
nothing else. So batches of the shapes set are made of groups, each a scene and its one-attribute swaps, drawn afresh.
Other sets have no attributes to swap: their batches are random images with one of their captions each.
"""

import re
from collections.abc import Iterator

import numpy as np

from clipgan.data.pack import PackedData, Split
from clipgan.data.shapes import Scene, caption, render, sample_scene, swap_attribute

Batch = tuple[np.ndarray, list[str]]  # uint8 [N, 3, R, R], N captions

GROUP = 2  # a scene and one swap of it
DRAWN_RESOLUTION = 64  # the tower sees 32 pixels: drawing more than twice that is time lost
SHIFT = 8  # packed images are moved by up to a SHIFTth of their side
SIDED = re.compile(r"\b(left|right|clockwise|anticlockwise|counterclockwise)\b", re.IGNORECASE)


def training_batches(data: PackedData, batch: int, steps: int, seed: int) -> Iterator[Batch]:
    """`steps` batches of `batch` captioned images, the same for the same seed."""
    rng = np.random.default_rng([seed, 0x7261696E])
    if data.name == "shapes":
        return hard_batches(batch, steps, min(data.train.images.shape[-1], DRAWN_RESOLUTION), rng)
    return packed_batches(data.train, batch, steps, data.x_flip, rng)


def hard_batches(batch: int, steps: int, resolution: int, rng: np.random.Generator) -> Iterator[Batch]:
    """Groups of scenes that differ from their first in one attribute; unflipped, for captions say left and right."""
    for _ in range(steps):
        scenes: list[Scene] = []
        while len(scenes) < batch:
            scene = sample_scene(rng)
            scenes += [scene, *(swap_attribute(scene, rng)[0] for _ in range(GROUP - 1))]
        images = np.stack([render(scene, resolution) for scene in scenes[:batch]])
        yield images.transpose(0, 3, 1, 2), [caption(scene, rng) for scene in scenes[:batch]]


def packed_batches(split: Split, batch: int, steps: int, x_flip: bool, rng: np.random.Generator) -> Iterator[Batch]:
    """Random images with a random caption, a little shifted; `x_flip` mirrors half of those that name no side."""
    reach = max(1, split.images.shape[-1] // SHIFT)
    for _ in range(steps):
        chosen = rng.choice(len(split), size=batch, replace=len(split) < batch)
        captions = [split.captions[i][int(rng.integers(len(split.captions[i])))] for i in chosen]
        images = split.images[chosen]
        flips = (rng.random(batch) < 0.5) & x_flip
        for k in range(batch):
            if flips[k] and not SIDED.search(captions[k]):
                images[k] = images[k, :, :, ::-1]
            images[k] = shifted(images[k], *rng.integers(-reach, reach + 1, 2))
        yield images, captions


def shifted(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """Move [C, H, W] by whole pixels and repeat the edge."""
    rows = np.clip(np.arange(image.shape[1]) - down, 0, image.shape[1] - 1)
    columns = np.clip(np.arange(image.shape[2]) - right, 0, image.shape[2] - 1)
    return image[:, rows[:, None], columns]
