"""What a caption of drawn shapes says, read back from its words."""

import re
from dataclasses import dataclass

from clipgan.inputs.data.shapes import BACKGROUNDS, COLOURS, POLYGONS, RELATIONS, SIZE_WORDS

_SIZE_OF = {word: size for size, words in SIZE_WORDS.items() for word in words}
_THING = re.compile(rf"({'|'.join(_SIZE_OF)}) ({'|'.join(COLOURS)}) ({'|'.join(POLYGONS)})")
_RELATION = re.compile(rf" ({'|'.join(RELATIONS)}) a ")
_BACKGROUND = re.compile(rf"({'|'.join(BACKGROUNDS)}) background")


@dataclass(frozen=True)
class Seen:
    """One object of a picture or of a caption."""

    colour: str
    size: str
    shape: str
    x: float = 0.0  # centroid, in fractions of the side from the upper left corner; 0 in a caption
    y: float = 0.0


@dataclass(frozen=True)
class Reading:
    """What a picture shows, or what a caption says."""

    background: str
    things: tuple[Seen, ...]  # none to two in a picture; as they are named in a caption
    relation: str | None = None  # a caption's: things[0] is `relation` things[1]


def parse_caption(caption: str) -> Reading:
    """What a caption of drawn shapes says.

    Raises:
        ValueError: it is none of `clipgan.inputs.data.shapes.caption`'s.
    """
    things = tuple(Seen(colour, _SIZE_OF[size], shape) for size, colour, shape in _THING.findall(caption))
    background, relation = _BACKGROUND.search(caption), _RELATION.search(caption)
    if background is None or len(things) != (1 if relation is None else 2):
        raise ValueError(f"no caption of drawn shapes: {caption!r}")
    return Reading(background[1], things, None if relation is None else relation[1])
