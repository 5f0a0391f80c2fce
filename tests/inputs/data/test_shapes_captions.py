"""Captions of drawn shapes: their neighbours, and scenes that they describe."""

from collections import Counter

import numpy as np
import pytest

from clipgan.inputs.data.shapes import caption, sample_scene
from clipgan.inputs.data.shapes_captions import parse_caption, scene_of, swapped_captions


def differing(one, other):
    """The attributes in which two parsed captions differ."""
    found = [name for name in ("background", "relation") if getattr(one, name) != getattr(other, name)]
    for mine, theirs in zip(one.things, other.things, strict=True):
        found += [name for name in ("colour", "size", "shape") if getattr(mine, name) != getattr(theirs, name)]
    return found


@pytest.mark.parametrize("seed", range(6))
def test_neighbours_of_a_caption_differ_in_one_attribute(seed):
    rng = np.random.default_rng(seed)
    text = caption(sample_scene(rng), rng)
    said, swaps = parse_caption(text), swapped_captions(text)
    assert len(set(swaps)) == len(swaps) == (30 if said.relation else 16)
    changed = [differing(said, parse_caption(swap)) for swap in swaps]
    assert all(len(names) == 1 for names in changed)
    objects = len(said.things)
    expected = {"colour": objects * (8 - objects), "size": objects, "shape": 5 * objects, "background": 3}
    assert Counter(names[0] for names in changed) == expected | ({"relation": 3} if said.relation else {})


def test_neighbours_keep_the_words_of_their_style():
    swaps = swapped_captions("a little red star on a gray background")
    assert "a big red star on a gray background" in swaps
    assert all("small" not in swap and "large" not in swap for swap in swaps)


def test_a_caption_gives_scenes_that_share_its_attributes():
    rng = np.random.default_rng(0)
    text = "a large red star above a small blue cross, black background"
    one, other = (scene_of(parse_caption(text), rng) for _ in range(2))
    assert one.things[0].jitter != other.things[0].jitter
    for scene in (one, other):
        said = parse_caption(caption(scene, rng))
        assert differing(said, parse_caption(text)) in ([], ["relation"] + ["colour", "size", "shape"] * 2)  # reversed
