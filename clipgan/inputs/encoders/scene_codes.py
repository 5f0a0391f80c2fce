"""Fixed codes of drawn scenes, from which both towers of the small CLIP learn what belongs to which object.

From images and captions alone, a small CLIP soon knows which colours, shapes and directions occur, but for minutes not
which object is left of which: as long as one tower does not tell, the other gains nothing by telling. A code that binds
attributes to places from the start, and that each tower is contrasted with as well, removes the deadlock.
"""

import itertools

import numpy as np

from clipgan.inputs.data.shapes import BACKGROUNDS, COLOURS, POLYGONS, RELATIONS, SIZES, Scene

PLACES = {  # of the first and of the second object
    None: ("alone",),
    "left of": ("left", "right"),
    "right of": ("right", "left"),
    "above": ("top", "bottom"),
    "below": ("bottom", "top"),
}
FACTS = [
    *itertools.product(("alone", "left", "right", "top", "bottom"), (*COLOURS, *SIZES, *POLYGONS)),
    *(("background", name) for name in BACKGROUNDS),
]
assert set(PLACES) == {None, *RELATIONS}


def facts(scene: Scene) -> list[tuple[str, str]]:
    """What holds in a scene: (`left`, `red`), (`left`, `small`), ..., (`background`, `white`)."""
    placed = zip(PLACES[scene.relation], scene.things, strict=True)
    of_things = [(place, value) for place, thing in placed for value in (thing.colour, thing.size, thing.shape)]
    return [*of_things, ("background", scene.background)]


class SceneCodes:
    """A random vector for each fact; a scene's code is the sum over its facts."""

    def __init__(self, dim: int, rng: np.random.Generator) -> None:
        self.index = {fact: row for row, fact in enumerate(FACTS)}
        self.table = rng.standard_normal((len(FACTS), dim)).astype(np.float32)

    def __call__(self, scenes: list[Scene]) -> np.ndarray:
        """Float32 [len(scenes), dim]."""
        return np.stack([self.table[[self.index[fact] for fact in facts(scene)]].sum(axis=0) for scene in scenes])
