"""Apply SimCLR's augmentations to a batch: each image has its own parameters, drawn from a named stream.

For each image, they do the same as torchvision's v2 transforms (RandomResizedCrop, RandomHorizontalFlip, ColorJitter,
RandomGrayscale, GaussianBlur), with the same distributions. But torchvision draws one parameter for a whole batch, and
draws it from the process's random state, which a resumed run would not have.

Shapes: N images, R resolution. Values of images are in [0, 1] here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from clipgan.config.simclr import ViewAugmentConfig

ATTEMPTS = 10  # largest number of crops to draw until one fits into the image, as in torchvision's RandomResizedCrop
LUMA = (0.2989, 0.587, 0.114)  # weights of red, green and blue in a colour's grey
SHARPEST, SOFTEST = 0.1, 2.0  # standard deviations of the blur, pixels


@dataclass(frozen=True)
class Draws:
    """Random parameters for the augmentation of N images, on the CPU."""

    box: Tensor  # int64 [N, 4]: top, left, height and width of the crop, pixels
    mirrored: Tensor  # bool [N]
    jittered: Tensor  # bool [N]
    order: Tensor  # int64 [N, 4]: the order of the four operations in `JITTER`
    factors: Tensor  # float32 [N, 4]: the strength of each operation
    gray: Tensor  # bool [N]
    blurred: Tensor  # bool [N]
    sigma: Tensor  # float32 [N]: standard deviation of the blur, pixels

    def rows(self, rows: range) -> "Draws":
        """Return the parameters of some of the images."""
        chosen = slice(rows.start, rows.stop)
        return Draws(*(getattr(self, field.name)[chosen] for field in fields(self)))


def draw(config: ViewAugmentConfig, count: int, resolution: int, x_flip: bool, random: torch.Generator) -> Draws:
    """Draw parameters for `count` images; another count changes the parameters of all images.

    Args:
        config: the probabilities and strengths.
        count: N.
        resolution: R.
        x_flip: whether to mirror half of the images.
        random: a generator on the CPU.
    """

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=random)

    scales = uniform(count, 3, low=1 - config.colour, high=1 + config.colour)
    turns = uniform(count, 1, low=-config.hue, high=config.hue)
    return Draws(
        box=_boxes(config, count, resolution, random),
        mirrored=(uniform(count) < 0.5) & x_flip,
        jittered=uniform(count) < config.jitter,
        order=uniform(count, len(JITTER)).argsort(dim=1),
        factors=torch.cat([scales, turns], dim=1),
        gray=uniform(count) < config.grayscale,
        blurred=uniform(count) < config.blur,
        sigma=uniform(count, low=SHARPEST, high=SOFTEST),
    )


def _boxes(config: ViewAugmentConfig, count: int, resolution: int, random: torch.Generator) -> Tensor:
    """Draw crops, uniform in area and log aspect, and take the first that fits; the whole image if none fits."""
    area = (config.crop + (1 - config.crop) * torch.rand(count, ATTEMPTS, generator=random)) * resolution**2
    aspect = ((2 * torch.rand(count, ATTEMPTS, generator=random) - 1) * math.log(config.aspect)).exp()
    width, height = ((area * ratio).sqrt().round().long() for ratio in (aspect, 1 / aspect))
    fits = (width > 0) & (width <= resolution) & (height > 0) & (height <= resolution)
    first = fits.int().argmax(dim=1, keepdim=True)
    sides = torch.cat([height.gather(1, first), width.gather(1, first)], dim=1)
    sides[~fits.any(dim=1)] = resolution
    corners = (torch.rand(count, 2, generator=random) * (resolution - sides + 1)).long()
    return torch.cat([corners, sides], dim=1)


@torch.no_grad()
def augment(images: Tensor, draws: Draws) -> Tensor:
    """Make a view of each image: [N, 3, R, R] in [0, 1] -> the same shape and range."""
    views = crop(images, draws.box, draws.mirrored)
    orders, group = draws.order[draws.jittered].unique(dim=0, return_inverse=True)
    rows = draws.jittered.nonzero()[group.argsort(stable=True), 0]  # those of each order side by side
    sizes = group.bincount(minlength=len(orders)).tolist()
    # a copy to a GPU waits for it: so all groups are copied at once
    chosen, factors = rows.to(views.device).split(sizes), draws.factors[rows].to(views.device).split(sizes)
    for order, some, strengths in zip(orders.tolist(), chosen, factors, strict=True):
        part = views[some]
        for number in order:
            part = JITTER[number](part, strengths[:, number].view(-1, 1, 1, 1))
        views[some] = part
    for drawn, change in ((draws.gray, _gray), (draws.blurred, _blur_of(draws))):
        rows = drawn.nonzero()[:, 0]
        if len(rows):
            chosen = rows.to(views.device)
            views[chosen] = change(views[chosen], rows)
    return views


def crop(images: Tensor, box: Tensor, mirrored: Tensor) -> Tensor:
    """Cut out the boxes, enlarge them to the images' size (bilinear), and mirror some images."""
    size, device = images.shape[-1], images.device
    starts, lengths = box[:, :, None].to(device).split(2, dim=1)
    centres = (torch.arange(size, device=device) + 0.5) / size * lengths - 0.5  # [N, 2, R], pixels from the box's edge
    places = starts + centres.clamp(min=0).minimum(lengths - 1)  # beyond a box, its edge pixels repeat
    rows, columns = ((2 * places + 1) / size - 1).unbind(1)  # in [-1, 1], as grid_sample counts
    columns = torch.where(mirrored.to(device)[:, None], columns.flip(1), columns)
    grid = torch.stack([columns[:, None, :].expand(-1, size, -1), rows[:, :, None].expand(-1, -1, size)], dim=3)
    return F.grid_sample(images, grid, align_corners=False, padding_mode="border")


def grayscale(images: Tensor) -> Tensor:
    """Compute the grey of each pixel: [N, 1, R, R]."""
    red, green, blue = images.split(1, dim=1)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Scale the colours."""
    return (images * factor).clamp_(0, 1)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Scale each pixel's distance from the image's mean grey."""
    return torch.lerp(grayscale(images).mean(dim=(1, 2, 3), keepdim=True), images, factor).clamp_(0, 1)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Scale each pixel's distance from its own grey."""
    return torch.lerp(grayscale(images), images, factor).clamp_(0, 1)


def hue(images: Tensor, turn: Tensor) -> Tensor:
    """Turn each pixel's colour on the circle of hues (HSV), by a share of the whole circle."""
    high, low = images.amax(dim=1, keepdim=True), images.amin(dim=1, keepdim=True)
    chroma = high - low
    from_high = (high - images) / chroma.clamp(min=1e-12)
    red, green, blue = from_high.split(1, dim=1)
    sixth = torch.where(
        images[:, :1] == high, blue - green, torch.where(images[:, 1:2] == high, 2 + red - blue, 4 + green - red)
    )
    sixth = sixth + 6 * turn
    offsets = torch.arange(5.0, 0.0, -2.0, device=images.device).view(1, 3, 1, 1)  # 5, 3, 1, without a copy to a GPU
    ramp = (sixth + offsets).remainder(6)
    return high - chroma * ramp.minimum(4 - ramp).clamp_(0, 1)


JITTER: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (brightness, contrast, saturation, hue)


def _gray(images: Tensor, _rows: Tensor) -> Tensor:
    return grayscale(images).expand_as(images)


def _blur_of(draws: Draws) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda images, rows: blur(images, draws.sigma[rows].to(images.device))


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur with a Gaussian over an odd number of pixels, about a tenth of the image's side."""
    half = max(1, images.shape[-1] // 20)
    taps = torch.arange(-half, half + 1, device=images.device)
    weights = torch.softmax(-0.5 * (taps / sigma[:, None]) ** 2, dim=1)  # [N, taps]
    for dim in (2, 3):
        padding = (0, 0, half, half) if dim == 2 else (half, half, 0, 0)
        padded, size = F.pad(images, padding, mode="reflect"), images.shape[dim]
        shifted = (padded.narrow(dim, tap, size) for tap in range(len(taps)))
        images = sum(part * weights[:, tap].view(-1, 1, 1, 1) for tap, part in enumerate(shifted))  # type: ignore[assignment]
    return images
