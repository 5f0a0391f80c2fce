"""Captioned shapes drawn by a seeded generator: the data set that needs no download.

A scene has one or two objects (colour, size, shape), their relation and a background. A caption names all of these
attributes, so it is true of exactly the scenes that share them. Only the jitter (position, exact size) is in the image
and not in the caption. Captions say left and right: never mirror these images.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from clipgan.inputs.data.pack import Record

SHAPES_VERSION = 1  # part of the packed set's cache key: raise it when a seed draws other images or captions
SUPERSAMPLING = 4

COLOURS = {
    "red": (220, 38, 38),
    "orange": (245, 140, 20),
    "yellow": (250, 215, 40),
    "green": (35, 160, 70),
    "cyan": (50, 200, 220),
    "blue": (40, 80, 220),
    "purple": (140, 60, 190),
    "pink": (245, 130, 190),
}
BACKGROUNDS = {"white": (255, 255, 255), "gray": (150, 150, 150), "brown": (105, 65, 35), "black": (10, 10, 10)}
SIZES = {"small": 0.115, "large": 0.17}  # radius of the circle, as a fraction of the image's side
RELATIONS = {  # the relation seen from the other object
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
}
ATTRIBUTES = ("colour", "size", "shape", "relation", "background")
SIZE_JITTER = 0.06  # fraction of the radius, up and down
SIZE_WORDS = {"small": ("small", "little"), "large": ("large", "big")}
# Objects always stand at the same positions in a sentence. With a leading "on a white background," or with verbs in
# between, a small text tower still learns the attributes, but it does not learn within a minute which object is left.
ONE_OBJECT = ("a {first} on a {background} background", "a {first}, {background} background")
TWO_OBJECTS = (
    "a {first} {relation} a {second} on a {background} background",
    "a {second} {inverse} a {first} on a {background} background",
    "a {first} {relation} a {second}, {background} background",
    "a {second} {inverse} a {first}, {background} background",
)


def _regular(points: int, radius: float, turn: float = 0.0) -> list[tuple[float, float]]:
    """Return the vertices of a regular polygon; the first is at the top, rotated by `turn` full turns."""
    angles = [2 * math.pi * (turn + k / points) for k in range(points)]
    return [(radius * math.sin(angle), -radius * math.cos(angle)) for angle in angles]


def _star(points: int, outer: float, inner: float) -> list[tuple[float, float]]:
    tips, notches = _regular(points, outer), _regular(points, inner, turn=0.5 / points)
    return [vertex for pair in zip(tips, notches, strict=True) for vertex in pair]


def _cross(arm: float, half_width: float) -> list[tuple[float, float]]:
    quarter = [(half_width, -arm), (half_width, -half_width), (arm, -half_width)]
    turned = []
    for _ in range(4):
        turned += quarter
        quarter = [(-y, x) for x, y in quarter]
    return turned


# Polygons in units of the circle's radius, y downwards; areas are near the circle's: shape and size are independent.
POLYGONS: dict[str, list[tuple[float, float]] | None] = {
    "circle": None,
    "square": _regular(4, 1.25, turn=0.125),
    "triangle": [(x, y + 0.25) for x, y in _regular(3, 1.35)],
    "star": _star(5, 1.35, 0.5),
    "cross": _cross(1.2, 0.34),
    "diamond": [(x * 0.62, y) for x, y in _regular(4, 1.35)],
}


@dataclass(frozen=True)
class Thing:
    """One object of a scene."""

    colour: str
    size: str
    shape: str
    jitter: tuple[float, float, float]  # of the radius, of x and of y: each in [-1, 1]


@dataclass(frozen=True)
class Scene:
    """The content of an image: `things[0]` is `relation` (such as `left of`) `things[1]`."""

    things: tuple[Thing, ...]  # one or two, of different colours
    relation: str | None  # None for one thing
    background: str

    def centres(self) -> list[tuple[float, float]]:
        """Return the objects' centres (x, y), in fractions of the image's side from the upper left corner."""
        if self.relation is None:
            reach = 0.47 - 1.35 * SIZES[self.things[0].size] * (1 + SIZE_JITTER)
            _, x, y = self.things[0].jitter
            return [(0.5 + reach * x, 0.5 + reach * y)]
        places = []
        for thing, side in zip(self.things, (-1, 1), strict=True):
            _, x, y = thing.jitter
            turned = -side if self.relation in ("right of", "below") else side
            along, across = 0.5 + 0.245 * turned, 0.5
            if self.relation in ("left of", "right of"):
                places.append((along + 0.01 * x, across + 0.12 * y))
            else:
                places.append((across + 0.12 * x, along + 0.01 * y))
        return places

    def radii(self) -> list[float]:
        """Return the objects' radii, in fractions of the image's side."""
        return [SIZES[thing.size] * (1 + SIZE_JITTER * thing.jitter[0]) for thing in self.things]


def _pick(names: tuple[str, ...], rng: np.random.Generator) -> str:
    return names[int(rng.integers(len(names)))]


def _other(name: str, names: tuple[str, ...], rng: np.random.Generator) -> str:
    return _pick(tuple(candidate for candidate in names if candidate != name), rng)


def sample_scene(rng: np.random.Generator) -> Scene:
    """Draw a scene with uniform attributes; two scenes out of three have two objects, of different colours."""
    colours = rng.permutation(len(COLOURS))[: 1 if rng.random() < 1 / 3 else 2]
    names = tuple(COLOURS)
    things = tuple(
        Thing(names[colour], _pick(tuple(SIZES), rng), _pick(tuple(POLYGONS), rng), tuple(rng.uniform(-1, 1, 3)))
        for colour in colours
    )
    relation = _pick(tuple(RELATIONS), rng) if len(things) == 2 else None
    return Scene(things, relation, _pick(tuple(BACKGROUNDS), rng))


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """Draw a caption of the scene; every paraphrase names every attribute.

    The draws from `rng` do not depend on attributes. Generators with equal states therefore give the same template and
    synonyms to a scene and to its attribute swap.
    """
    template, *synonyms = rng.random(3)
    described = [
        f"{SIZE_WORDS[thing.size][int(2 * synonym)]} {thing.colour} {thing.shape}"
        for thing, synonym in zip(scene.things, synonyms, strict=False)
    ]
    if scene.relation is None:
        chosen = ONE_OBJECT[int(template * len(ONE_OBJECT))]
        return chosen.format(first=described[0], background=scene.background)
    chosen = TWO_OBJECTS[int(template * len(TWO_OBJECTS))]
    return chosen.format(
        first=described[0], second=described[1], relation=scene.relation, inverse=RELATIONS[scene.relation],
        background=scene.background,
    )  # fmt: skip


def render(scene: Scene, resolution: int) -> np.ndarray:
    """Render the scene: uint8 [resolution, resolution, 3], sRGB, always the same for the same scene."""
    side = resolution * SUPERSAMPLING
    image = Image.new("RGB", (side, side), BACKGROUNDS[scene.background])
    draw = ImageDraw.Draw(image)
    for thing, (x, y), radius in zip(scene.things, scene.centres(), scene.radii(), strict=True):
        polygon, fill = POLYGONS[thing.shape], COLOURS[thing.colour]
        if polygon is None:
            box = [(x - radius) * side, (y - radius) * side, (x + radius) * side, (y + radius) * side]
            draw.ellipse(box, fill=fill)
        else:
            draw.polygon([((x + radius * u) * side, (y + radius * v) * side) for u, v in polygon], fill=fill)
    return np.asarray(image.reduce(SUPERSAMPLING))


def swap_attribute(scene: Scene, rng: np.random.Generator, attribute: str | None = None) -> tuple[Scene, str]:
    """Change one attribute of one object, or the relation, or the background.

    Args:
        scene: the scene to start from.
        rng: chooses the object, the new value and, if `attribute` is None, the attribute.
        attribute: one of `ATTRIBUTES`; `relation` needs two objects.

    Returns:
        The new scene, with the same jitter, and the name of the changed attribute.

    Raises:
        ValueError: an unknown attribute, or `relation` of a scene with one object.
    """
    if attribute is None:
        attribute = _pick(tuple(name for name in ATTRIBUTES if name != "relation" or scene.relation), rng)
    if attribute == "background":
        return replace(scene, background=_other(scene.background, tuple(BACKGROUNDS), rng)), attribute
    if attribute == "relation":
        if scene.relation is None:
            raise ValueError("a scene of one object has no relation to swap")
        return replace(scene, relation=_other(scene.relation, tuple(RELATIONS), rng)), attribute
    index = int(rng.integers(len(scene.things)))
    thing = scene.things[index]
    if attribute == "colour":
        taken = {other.colour for other in scene.things}
        thing = replace(thing, colour=_pick(tuple(name for name in COLOURS if name not in taken), rng))
    elif attribute == "size":
        thing = replace(thing, size=_other(thing.size, tuple(SIZES), rng))
    elif attribute == "shape":
        thing = replace(thing, shape=_other(thing.shape, tuple(POLYGONS), rng))
    else:
        raise ValueError(f"attribute={attribute!r} is not one of {', '.join(ATTRIBUTES)}")
    things = (*scene.things[:index], thing, *scene.things[index + 1 :])
    return replace(scene, things=things), attribute


def records(n: int, seed: int, resolution: int) -> Iterator[Record]:
    """Yield `n` images with one or two captions each; a seed gives the same scenes at every resolution."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        scene = sample_scene(rng)
        captions = list(dict.fromkeys(caption(scene, rng) for _ in range(2)))
        yield Record(render(scene, resolution), captions)
