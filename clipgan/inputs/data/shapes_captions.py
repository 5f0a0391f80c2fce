"""Parsing captions of drawn shapes back into scene attributes."""

import re
from dataclasses import dataclass

from clipgan.inputs.data.shapes import BACKGROUNDS, COLOURS, POLYGONS, RELATIONS, SIZE_WORDS

_SIZE_OF = {word: size for size, words in SIZE_WORDS.items() for word in words}
_THING = re.compile(rf"({'|'.join(_SIZE_OF)}) ({'|'.join(COLOURS)}) ({'|'.join(POLYGONS)})")
_RELATION = re.compile(rf" ({'|'.join(RELATIONS)}) a ")
_BACKGROUND = re.compile(rf"({'|'.join(BACKGROUNDS)}) background")


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
