"""How the frozen encoders see a step's generated images: as a whole, or a random crop of all of them, or on white.

Shapes: R resolution of the images, T size of the encoder's input.
"""

import torch
from torch import Tensor

from clipgan.base.randomness import StepRandom
from clipgan.config import ViewConfig
from clipgan.inputs.encoders.preprocess import Preprocess, Resizing

WHITE = 1.0


def view_of(
    config: ViewConfig, preprocess: Preprocess, resolution: int, random: StepRandom, name: str
) -> Resizing | None:
    """Draw one view for all images of a step, as matrices of fixed shapes, which a CUDA graph needs.

    Args:
        config: which views there are.
        preprocess: of the encoder.
        resolution: R.
        random: draws the place.
        name: of the draw.

    Returns:
        None for the encoder's own view of the whole image.
    """
    target = preprocess.size
    if config.pad and resolution < target:
        return _on_white(resolution, target, random, name)
    if (config.crop == 1 or resolution < target) and config.antialias:
        return None
    side, places = _crop(config.crop if resolution >= target else 1.0, resolution, random, name)
    matrices = [_resized_part(side, place, resolution, preprocess, config.antialias) for place in places]
    return Resizing(*matrices)


def _on_white(resolution: int, target: int, random: StepRandom, name: str) -> Resizing:
    """Put the image at a random place of a white square of the encoder's size."""
    margin = target - resolution

    def choose(generator: torch.Generator) -> int:
        top, left = torch.randint(margin, (2,), generator=generator).tolist()
        return top * target + left

    drawn = random.integer(name, choose)
    rows, columns = (torch.arange(size, device=drawn.device) for size in (target, resolution))
    down, across = ((rows[:, None] - place == columns).float() for place in (drawn // target, drawn % target))
    beside = WHITE * (1 - down.sum(dim=1)[:, None] * across.sum(dim=1))
    return Resizing(down, across, beside)


def _crop(least: float, resolution: int, random: StepRandom, name: str) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Draw a crop's side in [least R, R) and its place, uniformly: the side and (top, left), int64 scalars."""

    def choose(generator: torch.Generator) -> int:
        smallest = min(max(1, int(least * resolution)), resolution - 1)
        [side] = torch.randint(smallest, resolution, (1,), generator=generator).tolist()
        top, left = torch.randint(resolution - side, (2,), generator=generator).tolist()
        return (side * resolution + top) * resolution + left

    if least == 1 or resolution == 1:
        whole = torch.full((), resolution, device=random.device)
        return whole, (torch.zeros_like(whole), torch.zeros_like(whole))
    drawn = random.integer(name, choose)
    return drawn // resolution**2, (drawn // resolution % resolution, drawn % resolution)


def _resized_part(side: Tensor, start: Tensor, resolution: int, preprocess: Preprocess, antialias: bool) -> Tensor:
    """Return the matrix [T, R] that resizes `side` pixels from `start` on, as `F.interpolate` resizes a cut-out edge.

    Without antialiasing, a pixel beyond the cut-out is its nearest one; with it, the weights of the rest add up to 1.
    """
    target, bicubic = preprocess.size, preprocess.interpolation == "bicubic"
    rows = torch.arange(target, device=side.device, dtype=torch.float64)[:, None]
    columns = torch.arange(resolution, device=side.device, dtype=torch.float64) - start
    scale = side / target
    places = (rows + 0.5) * scale - 0.5
    if antialias:
        shrunk = scale.clamp(min=1)
        weights = _weights((columns - places) / shrunk, bicubic, sharpness=-0.5)
        weights = weights * ((columns >= 0) & (columns < side))
        return (weights / weights.sum(dim=1, keepdim=True)).float()
    matrix = torch.zeros(target, resolution, device=side.device, dtype=torch.float64)
    for tap in (-1, 0, 1, 2):
        pixel = places.floor() + tap
        near = pixel.clamp(min=0).minimum(side - 1)
        matrix = matrix + _weights(pixel - places, bicubic, sharpness=-0.75) * (columns == near)
    return matrix.float()


def _weights(distance: Tensor, bicubic: bool, sharpness: float) -> Tensor:
    """Return the kernel's values: the cubic convolution with parameter `sharpness`, or the triangle."""
    x = distance.abs()
    if not bicubic:
        return (1 - x).clamp(min=0)
    inner = ((sharpness + 2) * x - (sharpness + 3)) * x * x + 1
    outer = sharpness * (((x - 5) * x + 8) * x - 4)
    return torch.where(x <= 1, inner, torch.where(x < 2, outer, torch.zeros_like(x)))
