"""Read a picture of drawn shapes from its pixels: the background, and each object's colour, size, shape and place.

This is plain image processing; nothing is learned. Edges are mixtures, so a pixel's colour lies on the straight line
between the background's colour and an object's colour. The oracle finds the background and the one or two object
colours that explain all pixels best. A pixel's mixture is the object's coverage there. The drawn shape with the most
similar coverage around the same centroid gives shape and size.

Shapes: N images, R resolution, P = R^2 pixels, K object colours.
"""

import functools
import itertools

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from clipgan.inputs.data.shapes import BACKGROUNDS, COLOURS, POLYGONS, SIZE_JITTER, SIZES
from clipgan.inputs.data.shapes_captions import Reading, Seen

ATTRIBUTES = ("colour", "size", "shape", "position", "background")
NEAR, FAR = 30.0, 90.0  # RGB distance of a pixel from a reading: it costs 0 up to NEAR, and 1 from FAR on
CUT = 0.25  # a smaller coverage counts as 0, in pictures and in templates
OBJECT_COST = 5.0  # smallest number of pixels that a second object must explain
PHASES = 4  # positions of a template within a pixel, along each axis
DETAIL = 8  # supersampling of templates
BLOCK = {"cpu": 200, "cuda": 500}  # images that are read together, by device
SPARSE = 8  # one of so many pixels is enough to rule out most backgrounds
ROUNDING = 1e-2  # pixels; sums of costs are rounded by less
REACH = 0.27  # largest distance of a shape's edge from its centroid, as a fraction of the image's side

_OBJECT_COLOURS = torch.tensor(list(COLOURS.values()), dtype=torch.float32)
_BACKGROUND_COLOURS = torch.tensor(list(BACKGROUNDS.values()), dtype=torch.float32)
_PAIRS = list(itertools.combinations(range(len(COLOURS)), 2))
SETS: list[tuple[int, ...]] = [*((k,) for k in range(len(COLOURS))), *_PAIRS]
_MEMBERS = torch.tensor([(*chosen, -1)[:2] for chosen in SETS])  # [sets, 2]; -1: no second object


def read(images: Tensor) -> list[Reading]:
    """Read uint8 images [N, 3, R, R] on any device."""
    return [reading for some in images.split(BLOCK[images.device.type]) for reading in _read(some)]


def _read(images: Tensor) -> list[Reading]:
    resolution = images.shape[-1]
    background, chosen, coverage = _explain(images.flatten(2).float())
    members = _MEMBERS[chosen].numpy()
    image, place = np.nonzero(members >= 0)
    fits = _fit(coverage[image, place].numpy().reshape(-1, resolution, resolution))
    things: list[list[Seen]] = [[] for _ in images]
    for index, colour, fit in zip(image, members[image, place], fits, strict=True):
        things[index] += [] if fit is None else [Seen(list(COLOURS)[colour], *fit)]
    return [Reading(list(BACKGROUNDS)[index], tuple(found)) for index, found in zip(background, things, strict=True)]


def hits(reading: Reading, said: Reading) -> dict[str, float]:
    """Compare a picture with its caption: for each of `ATTRIBUTES`, the share of objects that agree.

    Objects of picture and caption are paired so that most colours agree, then most sizes and shapes. Missing objects
    and objects that the caption does not name count as wrong. Position is the relation between two objects with the
    named colours; it is NaN if the caption has one object.
    """
    pairings = itertools.permutations((*reading.things, None, None), len(said.things))
    best = max((list(zip(said.things, seen, strict=True)) for seen in pairings), key=_agreement)
    objects = max(len(said.things), len(reading.things))
    found: dict[str, float] = {
        attribute: sum(_same(one, other, attribute) for one, other in best) / objects
        for attribute in ("colour", "size", "shape")
    }
    found["position"] = float("nan")
    if said.relation is not None:
        first, second = (seen if _same(one, seen, "colour") else None for one, seen in best)
        found["position"] = float(first is not None and second is not None and _related(first, second, said.relation))
    found["background"] = float(reading.background == said.background)
    return found


def _same(one: Seen, other: Seen | None, attribute: str) -> bool:
    return other is not None and getattr(one, attribute) == getattr(other, attribute)


def _agreement(pairs: list[tuple[Seen, Seen | None]]) -> tuple[int, int]:
    colours = sum(_same(one, other, "colour") for one, other in pairs)
    return colours, sum(_same(one, other, each) for one, other in pairs for each in ("size", "shape"))


def _related(first: Seen, second: Seen, relation: str) -> bool:
    across, down = second.x - first.x, second.y - first.y
    if relation in ("left of", "right of"):
        return abs(across) > abs(down) and (across > 0) == (relation == "left of")
    return abs(down) > abs(across) and (down > 0) == (relation == "above")


def _explain(pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the background and the object colours that explain all pixels best.

    Args:
        pixels: float32 [n, 3, P].

    Returns:
        on the CPU, the backgrounds' numbers [n], the numbers of the sets of colours [n], and the coverage of each
        object [n, 2, P]: a pixel belongs to the object that explains it better, of equal ones to the first.
    """
    costs = _costs(pixels)
    best = costs.flatten(1).argmin(dim=1)
    background, chosen = best // len(SETS), best % len(SETS)
    members = _MEMBERS.to(pixels.device)[chosen]
    grounds, colours = _BACKGROUND_COLOURS.to(pixels.device)[background], _OBJECT_COLOURS.to(pixels.device)[members]
    share, residual = _mixtures(pixels, grounds.T, colours.permute(2, 1, 0))
    of_other = (residual[1] < residual[0]) & (members[:, 1:] >= 0)
    coverage = torch.stack([share[0].masked_fill(of_other, 0), share[1].masked_fill(~of_other, 0)], dim=1)
    return background.cpu(), chosen.cpu(), coverage.cpu()


def _costs(pixels: Tensor) -> Tensor:
    """Count the pixels that each background and set of colours does not explain: [n, 3, P] -> [n, backgrounds, sets].

    A cost is left out (infinite) where some pixels already cost more than the best reading of the likeliest background.
    """
    backgrounds, colours = (each.to(pixels.device) for each in (_BACKGROUND_COLOURS, _OBJECT_COLOURS))

    def unexplained(some: Tensor, background: Tensor) -> Tensor:
        _, residual = _mixtures(some, background[:, None], colours.T[..., None])
        return residual.sqrt_().sub_(NEAR).div_(FAR - NEAR).clamp_(0, 1)  # [K, n, P]

    sparse = pixels[:, :, ::SPARSE]
    least = torch.stack([unexplained(sparse, each).amin(dim=0).sum(dim=1) for each in backgrounds], dim=1)
    likeliest = least == least.amin(dim=1, keepdim=True)
    costs = pixels.new_full((len(pixels), len(BACKGROUNDS), len(SETS)), torch.inf)
    for of_likeliest in (True, False):
        due = likeliest if of_likeliest else ~likeliest & (least - ROUNDING <= costs.amin(dim=(1, 2))[:, None])
        for number, background in enumerate(backgrounds):
            some = torch.nonzero(due[:, number]).squeeze(1)
            costs[some, number] = _set_costs(unexplained(pixels[some], background))
    return costs


def _mixtures(pixels: Tensor, background: Tensor, colours: Tensor) -> tuple[Tensor, Tensor]:
    """Explain each pixel as a mixture of the background and each of K colours.

    Args:
        pixels: [n, 3, P].
        background: [3, n] or [3, 1], the same for all images.
        colours: [3, K, n] or [3, K, 1].

    Returns:
        the colour's share, 0 to 1, [K, n, P], and the squared RGB distance of pixel and mixture, [K, n, P].
    """
    towards = (colours - background[:, None])[..., None]
    offset = pixels.transpose(0, 1) - background[..., None]  # [3, n, P]
    share = offset[0] * towards[0]
    share.addcmul_(offset[1], towards[1]).addcmul_(offset[2], towards[2])
    share.div_(towards.square().sum(dim=0)).clamp_(0, 1)
    left = torch.zeros_like(share)
    for own, whole in zip(offset, towards, strict=True):
        apart = torch.addcmul(own, share, whole, value=-1)
        left.addcmul_(apart, apart)
    return share, left


def _set_costs(unexplained: Tensor) -> Tensor:
    """Add up the pixels that a set of colours does not explain, and a second object's cost: [K, n, P] -> [n, sets]."""
    of_one = unexplained.sum(dim=2)
    of_two = [torch.minimum(unexplained[one], unexplained[other]).sum(dim=1) + OBJECT_COST for one, other in _PAIRS]
    return torch.cat([of_one, torch.stack(of_two)]).T


def _fit(coverage: np.ndarray) -> list[tuple[str, str, float, float] | None]:
    """Find each object's size, shape and place by the most similar template; None if the object is almost empty.

    Args:
        coverage: [M, R, R], one object each.

    Returns:
        size, shape, x and y.
    """
    resolution = coverage.shape[-1]
    coverage = _largest_piece(np.where(coverage < CUT, 0, coverage))
    mass = coverage.reshape(len(coverage), -1).sum(axis=1)
    seen = np.flatnonzero(mass >= 0.5 * (SIZES["small"] * resolution) ** 2)
    coverage = coverage[seen]
    centres = np.stack([coverage.sum(axis=axis) @ (np.arange(resolution) + 0.5) / mass[seen] for axis in (1, 2)], 1)
    phases = (centres % 1 * PHASES).astype(int)
    windows = _windows(coverage, centres.astype(int))
    fits: list[tuple[str, str, float, float] | None] = [None] * len(mass)
    for phase in {tuple(each) for each in phases.tolist()}:
        templates, names = templates_at(resolution, *phase)
        members = np.flatnonzero((phases == phase).all(axis=1))
        # |t - w|^2 without |w|^2, which is the same for all templates
        distances = np.square(templates).sum(axis=1) - 2 * windows[members] @ templates.T
        for member, best in zip(members, distances.argmin(axis=1), strict=True):
            shape, size = names[best]
            x, y = centres[member] / resolution
            fits[seen[member]] = size, shape, float(x), float(y)
    return fits


def _windows(coverage: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Cut squares around centres (x, y) [M, 2] out of [M, R, R]: [M, S^2]; outside of the image, coverage is 0."""
    reach = reach_of(coverage.shape[-1])
    padded = np.pad(coverage, ((0, 0), (reach, reach), (reach, reach)))
    step = np.arange(2 * reach + 1)
    rows, columns = centres[:, 1, None, None] + step[:, None], centres[:, 0, None, None] + step
    return padded[np.arange(len(coverage))[:, None, None], rows, columns].reshape(len(coverage), step.size**2)


def reach_of(resolution: int) -> int:
    """Return the pixels from a template's middle to its edge."""
    return int(np.ceil(REACH * resolution)) + 1


def _largest_piece(coverage: np.ndarray) -> np.ndarray:
    """Keep the largest connected piece of each object, [M, R, R]; of equal ones the first."""
    from scipy.ndimage import label  # an import at the top of the file would cost each start 0.1 s

    within = np.zeros((3, 3, 3))
    within[1] = 1  # pixels of different objects are not connected
    pieces, count = label(coverage, structure=within)
    inside = np.flatnonzero(pieces)
    piece = pieces.ravel()[inside]
    masses = np.bincount(piece, coverage.ravel()[inside], count + 1)
    owner = np.zeros(count + 1, dtype=int)
    owner[piece] = inside // coverage[0].size
    by_mass = 1 + np.lexsort((-masses[1:], owner[1:]))  # object by object, the largest piece first
    largest = np.zeros(count + 1, dtype=bool)
    largest[by_mass[np.unique(owner[by_mass], return_index=True)[1]]] = True
    return np.where(largest[pieces], coverage, 0)


@functools.cache
def templates_at(resolution: int, phase_x: int, phase_y: int) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Draw templates of every shape and size: coverages [T, S^2], and names. Phases place the centroid in its pixel."""
    reach = reach_of(resolution)
    side = 2 * reach + 1
    centre = [reach + (phase + 0.5) / PHASES for phase in (phase_x, phase_y)]
    rows, names = [], []
    for shape, (size, radius), jitter in itertools.product(POLYGONS, SIZES.items(), (-1, -0.5, 0, 0.5, 1)):
        rows.append(_drawn(shape, radius * (1 + SIZE_JITTER * jitter) * resolution, centre, side).ravel())
        names.append((shape, size))
    templates = np.stack(rows)
    return np.where(templates < CUT, 0, templates), names


def _drawn(shape: str, radius: float, centre: list[float], side: int) -> np.ndarray:
    """Draw the coverage of one shape: float32 [side, side].

    Args:
        shape: its name.
        radius: in pixels.
        centre: (x, y) of its centroid, in pixels.
        side: in pixels.
    """
    image = Image.new("L", (side * DETAIL, side * DETAIL))
    polygon = POLYGONS[shape]
    x, y = centre
    if polygon is None:
        box = [(x - radius) * DETAIL, (y - radius) * DETAIL, (x + radius) * DETAIL, (y + radius) * DETAIL]
        ImageDraw.Draw(image).ellipse(box, fill=255)
    else:
        lift = 0.25 if shape == "triangle" else 0.0  # a triangle is drawn lower by this share of its radius
        points = [((x + radius * u) * DETAIL, (y + radius * (v - lift)) * DETAIL) for u, v in polygon]
        ImageDraw.Draw(image).polygon(points, fill=255)
    return np.asarray(image.reduce(DETAIL), dtype=np.float32) / 255
