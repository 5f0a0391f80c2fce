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
REACH = 0.27  # largest distance of a shape's edge from its centroid, as a fraction of the image's side

_OBJECT_COLOURS = np.array(list(COLOURS.values()), dtype=np.float32)
_BACKGROUND_COLOURS = np.array(list(BACKGROUNDS.values()), dtype=np.float32)
_SETS = [(k,) for k in range(len(COLOURS))] + list(itertools.combinations(range(len(COLOURS)), 2))


def read(images: np.ndarray) -> list[Reading]:
    """Read uint8 images [N, 3, R, R]."""
    resolution = images.shape[-1]
    pixels = images.reshape(len(images), 3, -1).transpose(0, 2, 1).astype(np.float32)  # [N, P, 3]
    coverage, residual = zip(*(_mixtures(pixels, background) for background in _BACKGROUND_COLOURS), strict=True)
    costs = np.stack([_set_costs(each) for each in residual])  # [backgrounds, sets, N]
    readings = []
    for index in range(len(images)):
        background, chosen = np.unravel_index(costs[:, :, index].argmin(), costs.shape[:2])
        owner = residual[background][index][:, list(_SETS[chosen])].argmin(axis=1)
        things = []
        for place, colour in enumerate(_SETS[chosen]):
            own = np.where(owner == place, coverage[background][index][:, colour], 0).reshape(resolution, resolution)
            thing = _fit(own, list(COLOURS)[colour])
            things += [] if thing is None else [thing]
        readings.append(Reading(list(BACKGROUNDS)[background], tuple(things)))
    return readings


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


def _mixtures(pixels: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Explain each pixel as a mixture of the background and each object colour.

    Args:
        pixels: [N, P, 3].
        background: [3].

    Returns:
        the object's share, 0 to 1, [N, P, K], and the squared RGB distance of pixel and mixture, [N, P, K].
    """
    towards = _OBJECT_COLOURS - background  # [K, 3]
    offset = pixels - background
    share = np.clip(offset @ towards.T / np.square(towards).sum(axis=1), 0, 1)
    left = np.square(offset[:, :, None] - share[..., None] * towards).sum(axis=-1)
    return share, left


def _set_costs(residual: np.ndarray) -> np.ndarray:
    """Count the pixels that a set of colours does not explain, plus a second object's cost: [N, P, K] -> [sets, N]."""
    bounded = np.clip((np.sqrt(residual) - NEAR) / (FAR - NEAR), 0, 1)
    return np.stack(
        [bounded[:, :, list(chosen)].min(axis=2).sum(axis=1) + OBJECT_COST * (len(chosen) - 1) for chosen in _SETS]
    )


def _fit(coverage: np.ndarray, colour: str) -> Seen | None:
    """Find the shape and size with the template most similar to the coverage [R, R]; None if it is almost empty."""
    resolution = len(coverage)
    coverage = _largest_piece(np.where(coverage < CUT, 0, coverage))
    mass = float(coverage.sum())
    if mass < 0.5 * (SIZES["small"] * resolution) ** 2:
        return None
    x, y = (float((coverage.sum(axis=axis) * (np.arange(resolution) + 0.5)).sum() / mass) for axis in (0, 1))
    reach = int(np.ceil(REACH * resolution)) + 1
    phase = [int((centre % 1) * PHASES) for centre in (x, y)]
    templates, names = _templates(resolution, phase[0], phase[1])
    padded = np.pad(coverage, reach)
    window = padded[int(y) : int(y) + 2 * reach + 1, int(x) : int(x) + 2 * reach + 1]
    distance = np.square(templates - window.ravel()).sum(axis=1)
    shape, size = names[int(distance.argmin())]
    return Seen(colour, size, shape, x / resolution, y / resolution)


def _largest_piece(coverage: np.ndarray) -> np.ndarray:
    """Keep the largest connected piece."""
    from scipy.ndimage import label, sum_labels  # an import at the top of the file would cost each start 0.1 s

    pieces, count = label(coverage, structure=np.ones((3, 3)))
    masses = sum_labels(coverage, pieces, range(1, count + 1))
    return np.where(pieces == 1 + int(np.argmax(masses)), coverage, 0) if count else coverage


@functools.cache
def _templates(resolution: int, phase_x: int, phase_y: int) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Draw templates of every shape and size: coverages [T, S^2], and names. Phases place the centroid in its pixel."""
    reach = int(np.ceil(REACH * resolution)) + 1
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
