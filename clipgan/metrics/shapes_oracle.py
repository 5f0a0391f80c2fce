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
from PIL import Image, ImageDraw

from clipgan.inputs.data.shapes import BACKGROUNDS, COLOURS, POLYGONS, SIZE_JITTER, SIZES
from clipgan.inputs.data.shapes_captions import Reading, Seen

ATTRIBUTES = ("colour", "size", "shape", "position", "background")
NEAR, FAR = 30.0, 90.0  # RGB distance of a pixel from a reading: it costs 0 up to NEAR, and 1 from FAR on
CUT = 0.25  # a smaller coverage counts as 0, in pictures and in templates
OBJECT_COST = 5.0  # smallest number of pixels that a second object must explain
PHASES = 4  # positions of a template within a pixel, along each axis
DETAIL = 8  # supersampling of templates
BLOCK = 64  # images that are read together
REACH = 0.27  # largest distance of a shape's edge from its centroid, as a fraction of the image's side

_OBJECT_COLOURS = np.array(list(COLOURS.values()), dtype=np.float32)
_BACKGROUND_COLOURS = np.array(list(BACKGROUNDS.values()), dtype=np.float32)
_PAIRS = list(itertools.combinations(range(len(COLOURS)), 2))
SETS: list[tuple[int, ...]] = [*((k,) for k in range(len(COLOURS))), *_PAIRS]
_MEMBERS = np.array([(*chosen, -1)[:2] for chosen in SETS])  # [sets, 2]; -1: no second object


def read(images: np.ndarray) -> list[Reading]:
    """Read uint8 images [N, 3, R, R]."""
    return [reading for start in range(0, len(images), BLOCK) for reading in _read(images[start : start + BLOCK])]


def _read(images: np.ndarray) -> list[Reading]:
    resolution = images.shape[-1]
    background, chosen, coverage = _explain(images.reshape(len(images), 3, -1).astype(np.float32))
    image, place = np.nonzero(_MEMBERS[chosen] >= 0)
    fits = _fit(coverage[image, place].reshape(-1, resolution, resolution))
    things: list[list[Seen]] = [[] for _ in images]
    for index, colour, fit in zip(image, _MEMBERS[chosen][image, place], fits, strict=True):
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


def _explain(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the background and the object colours that explain all pixels best.

    Args:
        pixels: float32 [n, 3, P].

    Returns:
        the backgrounds' numbers [n], the numbers of the sets of colours [n], and the coverage of each object [n, 2, P]:
        a pixel belongs to the object that explains it better.
    """
    count = len(pixels)
    mixtures = [_mixtures(pixels, background) for background in _BACKGROUND_COLOURS]
    costs = _set_costs([residual for _, residual in mixtures])  # [n, backgrounds, sets]
    background, chosen = np.divmod(costs.reshape(count, -1).argmin(axis=1), costs.shape[2])
    coverage = np.zeros((count, 2, pixels.shape[2]), dtype=np.float32)
    for index, (ground, colours) in enumerate(zip(background, _MEMBERS[chosen], strict=True)):
        share, residual = (each[colours[colours >= 0], index] for each in mixtures[ground])
        owner = residual.argmin(axis=0)
        for place, own in enumerate(share):
            coverage[index, place] = np.where(owner == place, own, 0)
    return background, chosen, coverage


def _mixtures(pixels: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Explain each pixel as a mixture of the background and each object colour.

    Args:
        pixels: [n, 3, P].
        background: [3].

    Returns:
        the object's share, 0 to 1, [K, n, P], and the squared RGB distance of pixel and mixture, [K, n, P].
    """
    towards = (_OBJECT_COLOURS - background).T[:, :, None, None]  # [3, K, 1, 1]
    offset = (pixels - background[:, None]).transpose(1, 0, 2)  # [3, n, P]
    share = offset[0] * towards[0]
    share += offset[1] * towards[1]
    share += offset[2] * towards[2]
    share /= np.square(towards).sum(axis=0)
    np.minimum(np.maximum(share, 0, out=share), 1, out=share)
    left = np.zeros_like(share)
    for own, whole in zip(offset, towards, strict=True):
        apart = own - share * whole
        left += np.square(apart, out=apart)
    return share, left


def _set_costs(residuals: list[np.ndarray]) -> np.ndarray:
    """Count the pixels that a set of colours does not explain, plus a second object's cost: [n, backgrounds, sets].

    The sets of two are left out (infinite) on a background where even all colours together explain too little.

    Args:
        residuals: for each background, squared distances [K, n, P].
    """
    unexplained = [_bounded(residual) for residual in residuals]
    costs = np.full((residuals[0].shape[1], len(residuals), len(SETS)), np.inf, dtype=np.float32)
    for number, each in enumerate(unexplained):
        costs[:, number, : len(COLOURS)] = each.sum(axis=2).T
    best = costs.min(axis=(1, 2))
    for number, each in enumerate(unexplained):
        near = np.flatnonzero(each.min(axis=0).sum(axis=1) + OBJECT_COST <= best)
        some = np.ascontiguousarray(each[:, near])
        for column, (one, other) in enumerate(_PAIRS, len(COLOURS)):
            costs[near, number, column] = np.minimum(some[one], some[other]).sum(axis=1) + OBJECT_COST
    return costs


def _bounded(residual: np.ndarray) -> np.ndarray:
    """Turn squared distances into costs between 0 (up to NEAR) and 1 (from FAR on)."""
    cost = np.sqrt(residual)
    cost -= NEAR
    cost /= FAR - NEAR
    return np.minimum(np.maximum(cost, 0, out=cost), 1, out=cost)


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
