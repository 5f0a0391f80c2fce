"""Fixed codes of drawn scenes, which teach both towers of the small CLIP which attribute belongs to which object.

From images and captions alone, a small CLIP soon learns which colours, shapes and directions occur, but for minutes it
does not learn which object is left of the other: neither tower gains by encoding this until the other tower does too.
A fixed code binds attributes to places from the start. Each tower is also contrasted with it, which ends the deadlock.
"""

import itertools

import numpy as np

from clipgan.inputs.data.shapes import BACKGROUNDS, COLOURS, POLYGONS, RELATIONS, SIZES, Scene

PLACES = {  # relation -> place of the first object, place of the second object
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
    """List the facts of a scene: (`left`, `red`), (`left`, `small`), ..., (`background`, `white`)."""
    placed = zip(PLACES[scene.relation], scene.things, strict=True)
    thing_facts = [(place, value) for place, thing in placed for value in (thing.colour, thing.size, thing.shape)]
    return [*thing_facts, ("background", scene.background)]


class SceneCodes:
    """A random vector for each fact; the code of a scene is the sum of its facts' vectors."""

    def __init__(self, dim: int, rng: np.random.Generator) -> None:
        self.index = {fact: row for row, fact in enumerate(FACTS)}
        self.table = rng.standard_normal((len(FACTS), dim)).astype(np.float32)

    def __call__(self, scenes: list[Scene]) -> np.ndarray:
        """Return the codes of N scenes: float32 [N, dim]."""
        return np.stack([self.table[[self.index[fact] for fact in facts(scene)]].sum(axis=0) for scene in scenes])
