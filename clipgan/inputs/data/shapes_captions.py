"""Captions of drawn shapes: parsing them back into attributes, swapping an attribute, drawing what they say."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from clipgan.inputs.data.shapes import BACKGROUNDS, COLOURS, POLYGONS, RELATIONS, SIZE_WORDS, Scene, Thing

_SIZE_OF = {word: size for size, words in SIZE_WORDS.items() for word in words}
_THING = re.compile(rf"({'|'.join(_SIZE_OF)}) ({'|'.join(COLOURS)}) ({'|'.join(POLYGONS)})")
_RELATION = re.compile(rf" ({'|'.join(RELATIONS)}) a ")
_BACKGROUND = re.compile(rf"({'|'.join(BACKGROUNDS)}) background")
_SIZES = tuple(zip(*SIZE_WORDS.values(), strict=True))  # (small, large), (little, big): words of one style
_WORDS = [tuple(COLOURS), *_SIZES, tuple(POLYGONS), tuple(RELATIONS), tuple(BACKGROUNDS)]  # that replace one another
_CHOICES = {word: words for words in _WORDS for word in words}
_ANY = re.compile(rf"\b({'|'.join(_CHOICES)})\b")


@dataclass(frozen=True)
class Seen:
    """One object seen in an image or named in a caption."""

    colour: str
    size: str
    shape: str
    x: float = 0.0  # centroid, in fractions of the side from the upper left corner; 0 for a caption
    y: float = 0.0


@dataclass(frozen=True)
class Reading:
    """The scene attributes read from an image or from a caption."""

    background: str
    things: tuple[Seen, ...]  # an image: none to two; a caption: one or two, in the order of the words
    relation: str | None = None  # captions only: things[0] is `relation` things[1]


def are_of_shapes(captions: Iterable[str]) -> bool:
    """Whether each caption is one of drawn shapes, which `parse_caption` reads."""
    try:
        for caption in dict.fromkeys(captions):
            parse_caption(caption)
    except ValueError:
        return False
    return True


def parse_caption(caption: str) -> Reading:
    """Parse a caption of drawn shapes.

    Raises:
        ValueError: `clipgan.inputs.data.shapes.caption` does not write such a text.
    """
    things = tuple(Seen(colour, _SIZE_OF[size], shape) for size, colour, shape in _THING.findall(caption))
    background, relation = _BACKGROUND.search(caption), _RELATION.search(caption)
    if background is None or len(things) != (1 if relation is None else 2):
        raise ValueError(f"not a caption of drawn shapes: {caption!r}")
    return Reading(background[1], things, None if relation is None else relation[1])


def swapped_captions(caption: str) -> list[str]:
    """List the captions that differ from a caption in one attribute and are worded alike.

    Two objects have 30 of them, one object has 16. No object gets the colour of the other.
    """
    taken = {thing.colour for thing in parse_caption(caption).things}
    swaps = []
    for word in _ANY.finditer(caption):
        others = [other for other in _CHOICES[word[0]] if other != word[0] and other not in taken]
        swaps += [f"{caption[: word.start()]}{other}{caption[word.end() :]}" for other in others]
    return swaps


def scene_of(said: Reading, rng: np.random.Generator) -> Scene:
    """Draw a scene that a caption describes: its attributes, with new places and exact sizes."""
    things = tuple(Thing(each.colour, each.size, each.shape, tuple(rng.uniform(-1, 1, 3))) for each in said.things)
    return Scene(things, said.relation, said.background)
