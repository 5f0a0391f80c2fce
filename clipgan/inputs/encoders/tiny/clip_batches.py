"""Training batches of the small CLIP.

Colour and position solve the retrieval within a random batch: a CLIP learns to tell shapes apart only if the candidates
differ in nothing else. Batches of the shapes set therefore consist of twins: a new random scene and its swap in one
attribute. With hard negatives, each scene also brings the codes of further swaps, which cost no forward pass. Other
data sets have no attributes to swap: a batch is random images with one caption each.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from clipgan.inputs.data.pack import PackedData, Split
from clipgan.inputs.data.shapes import RELATIONS, Scene, caption, render, sample_scene, swap_attribute
from clipgan.inputs.encoders.tiny.scene_codes import SceneCodes

SWAPS = {"shape": 0.35, "relation": 0.35, "size": 0.15, "colour": 0.1, "background": 0.05}  # hard swaps more often
HARD_SWAPS = {"shape": 0.35, "relation": 0.25, "size": 0.12, "colour": 0.14, "background": 0.14}  # of the further codes
INVERSE = 0.7  # fraction of relation swaps that exchange the two objects: left of, right of
DRAWN_RESOLUTION = 64  # pixels; the tower sees 32, and drawing at more than twice that wastes time
SHIFT = 8  # packed images are shifted by up to 1 / SHIFT of their side
SIDED = re.compile(r"\b(left|right|clockwise|anticlockwise|counterclockwise)\b", re.IGNORECASE)


@dataclass(frozen=True)
class CaptionedImages:
    """A batch of N images with one caption each."""

    images: np.ndarray  # uint8 [N, 3, R, R]
    captions: list[str]
    codes: np.ndarray | None  # float32 [N, dim], the codes of the scenes; None if the scenes are unknown
    hard: np.ndarray | None = None  # float32 [N, K, dim], codes of K swaps of each scene; None: there are none


def training_batches(
    data: PackedData, batch: int, steps: int, seed: int, dim: int, hard: int = 0
) -> Iterator[CaptionedImages]:
    """Yield `steps` batches of `batch` images; a seed gives the same batches.

    Args:
        dim: width of the codes.
        hard: number of swaps of each scene whose codes a batch holds as well; only for the shapes set.
    """
    rng = np.random.default_rng([seed, 0x7261696E])
    if data.name == "shapes":
        resolution = min(data.train.images.shape[-1], DRAWN_RESOLUTION)
        return twin_batches(batch, steps, resolution, SceneCodes(dim, rng), rng, hard)
    return packed_batches(data.train, batch, steps, data.x_flip, rng)


def twin_batches(
    batch: int, steps: int, resolution: int, codes: SceneCodes, rng: np.random.Generator, hard: int = 0
) -> Iterator[CaptionedImages]:
    """Yield batches of scenes, each followed by its twin; never mirrored, since captions say left and right."""
    for _ in range(steps):
        scenes: list[Scene] = []
        while len(scenes) < batch:
            scene = sample_scene(rng)
            scenes += [scene, twin(scene, rng)]
        scenes = scenes[:batch]
        images = np.stack([render(scene, resolution) for scene in scenes]).transpose(0, 3, 1, 2)
        captions = [caption(scene, rng) for scene in scenes]
        swaps = [twin(scene, rng, HARD_SWAPS) for scene in scenes for _ in range(hard)]
        of_swaps = codes(swaps).reshape(batch, hard, -1) if swaps else None
        yield CaptionedImages(images, captions, codes(scenes), of_swaps)


def twin(scene: Scene, rng: np.random.Generator, swaps: Mapping[str, float] = SWAPS) -> Scene:
    """Swap one attribute of `scene`, chosen with the probabilities in `swaps`."""
    shares = {name: share for name, share in swaps.items() if name != "relation" or scene.relation is not None}
    edges = np.cumsum(list(shares.values()))
    attribute = list(shares)[int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]
    if attribute == "relation" and scene.relation is not None and rng.random() < INVERSE:
        return replace(scene, relation=RELATIONS[scene.relation])
    return swap_attribute(scene, rng, attribute)[0]


def packed_batches(
    split: Split, batch: int, steps: int, x_flip: bool, rng: np.random.Generator
) -> Iterator[CaptionedImages]:
    """Yield slightly shifted images with a random caption each; `x_flip` mirrors half of those that name no side."""
    reach = max(1, split.images.shape[-1] // SHIFT)
    for _ in range(steps):
        chosen = rng.choice(len(split), size=batch, replace=len(split) < batch)
        captions = [split.captions[i][int(rng.integers(len(split.captions[i])))] for i in chosen]
        images = np.array(split.images[chosen])
        flips = (rng.random(batch) < 0.5) & x_flip
        for k in range(batch):
            if flips[k] and not SIDED.search(captions[k]):
                images[k] = images[k, :, :, ::-1]
            images[k] = shifted(images[k], *rng.integers(-reach, reach + 1, 2))
        yield CaptionedImages(images, captions, None)


def shifted(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """Shift an image [C, H, W] by whole pixels and repeat its edge."""
    rows = np.clip(np.arange(image.shape[1]) - down, 0, image.shape[1] - 1)
    columns = np.clip(np.arange(image.shape[2]) - right, 0, image.shape[2] - 1)
    return image[:, rows[:, None], columns]
