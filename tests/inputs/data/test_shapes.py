"""The drawn data set: what a caption says is what the image shows."""

from dataclasses import fields

import numpy as np
import pytest

from clipgan.inputs.data.shapes import (
    ATTRIBUTES,
    BACKGROUNDS,
    COLOURS,
    POLYGONS,
    RELATIONS,
    SIZE_WORDS,
    SIZES,
    Scene,
    Thing,
    caption,
    records,
    render,
    sample_scene,
    swap_attribute,
)


def scenes(count, seed=0):
    rng = np.random.default_rng(seed)
    return [sample_scene(rng) for _ in range(count)]


def one(size, shape, colour="red"):
    return Scene((Thing(colour, size, shape, (0.0, 0.0, 0.0)),), None, "white")


def colour_share(image, colour):
    """The share of pixels that have this colour exactly."""
    return float((image == np.array(colour)).all(axis=-1).mean())


def test_the_same_seed_draws_the_same_set():
    first, again, other = (list(records(20, seed, 32)) for seed in (3, 3, 4))
    assert [record.captions for record in first] == [record.captions for record in again]
    assert all((a.image == b.image).all() for a, b in zip(first, again, strict=True))
    assert any((a.image != b.image).any() for a, b in zip(first, other, strict=True))


def test_a_longer_set_begins_with_the_shorter_and_resolutions_show_the_same_scenes():
    short, long, fine = list(records(5, 0, 32)), list(records(9, 0, 32)), list(records(5, 0, 64))
    for a, b, c in zip(short, long, fine, strict=False):
        assert a.captions == b.captions == c.captions
        assert (a.image == b.image).all()
        halved = c.image.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
        assert np.abs(halved - a.image).mean() < 3  # of 255: edges alone differ


@pytest.mark.parametrize("resolution", [8, 32, 128])
def test_images_are_uint8_rgb(resolution):
    for record in records(5, 0, resolution):
        assert record.image.shape == (resolution, resolution, 3)
        assert record.image.dtype == np.uint8
        assert 1 <= len(record.captions) <= 2


def test_colours_at_centres_and_corners_are_the_captioned_ones():
    rng = np.random.default_rng(1)
    for scene in scenes(300):
        image = render(scene, 64)
        words = caption(scene, rng)
        for thing, (x, y) in zip(scene.things, scene.centres(), strict=True):
            assert tuple(image[int(y * 64), int(x * 64)]) == COLOURS[thing.colour]
            assert f"{thing.colour} {thing.shape}" in words
        corners = [tuple(image[row, column]) for row in (0, -1) for column in (0, -1)]
        assert corners.count(BACKGROUNDS[scene.background]) == 4
        assert f"{scene.background} background" in words


def test_the_relation_holds_in_the_image():
    for scene in scenes(300):
        if scene.relation is None:
            assert len(scene.things) == 1
            continue
        (x, y), (other_x, other_y) = scene.centres()
        held = {
            "left of": x < other_x and abs(x - other_x) > abs(y - other_y),
            "right of": x > other_x and abs(x - other_x) > abs(y - other_y),
            "above": y < other_y and abs(y - other_y) > abs(x - other_x),
            "below": y > other_y and abs(y - other_y) > abs(x - other_x),
        }
        assert [relation for relation, holds in held.items() if holds] == [scene.relation]


@pytest.mark.parametrize("shape", POLYGONS)
def test_size_is_area(shape):
    small, large = (colour_share(render(one(size, shape), 128), COLOURS["red"]) for size in SIZES)
    assert large / small == pytest.approx((SIZES["large"] / SIZES["small"]) ** 2, rel=0.1)
    assert 0.5 < large / (np.pi * SIZES["large"] ** 2) < 1.15  # no shape is much smaller than the circle, none larger


def test_shapes_differ_in_pixels():
    images = [render(one("large", shape), 32).astype(int) for shape in POLYGONS]
    for k, image in enumerate(images):
        assert all(np.abs(image - other).max() > 100 for other in images[:k])


def test_every_object_lies_inside_the_image():
    for scene in scenes(500):
        for colour in COLOURS.values():
            image = render(scene, 64)
            border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
            assert not (border == np.array(colour)).all(axis=-1).any()


def test_captions_name_every_attribute_in_every_paraphrase():
    rng = np.random.default_rng(0)
    for scene in scenes(50):
        paraphrases = {caption(scene, rng) for _ in range(200)}
        assert len(paraphrases) == (4 if scene.relation is None else 16)
        for words in paraphrases:
            assert scene.background in words
            assert all(f"{thing.colour} {thing.shape}" in words for thing in scene.things)
            assert all(any(size in words for size in SIZE_WORDS[thing.size]) for thing in scene.things)
            if scene.relation is not None:
                first, second = (words.index(f"{thing.colour} {thing.shape}") for thing in scene.things)
                said = scene.relation if first < second else RELATIONS[scene.relation]
                assert f" {said} " in words


def differences(scene, other):
    """The names of the attributes in which two scenes differ, one for each place where they do."""
    found = [name for name in ("relation", "background") if getattr(scene, name) != getattr(other, name)]
    for thing, changed in zip(scene.things, other.things, strict=True):
        found += [field.name for field in fields(Thing) if getattr(thing, field.name) != getattr(changed, field.name)]
    return found


def test_a_swap_changes_one_attribute_and_the_caption_and_the_image():
    rng = np.random.default_rng(2)
    seen = set()
    for scene in scenes(300):
        other, attribute = swap_attribute(scene, rng)
        seen.add(attribute)
        assert differences(scene, other) == [attribute]
        assert len({thing.colour for thing in other.things}) == len(other.things)
        assert caption(scene, np.random.default_rng(5)) != caption(other, np.random.default_rng(5))
        assert (render(scene, 32) != render(other, 32)).any()
    assert seen == set(ATTRIBUTES)


def test_a_swap_of_a_named_attribute():
    rng = np.random.default_rng(0)
    pair = next(scene for scene in scenes(20) if scene.relation)
    for attribute in ATTRIBUTES:
        assert swap_attribute(pair, rng, attribute)[1] == attribute
    with pytest.raises(ValueError, match="no relation to swap"):
        swap_attribute(one("small", "circle"), rng, "relation")
    with pytest.raises(ValueError, match="attribute='weight' is not one of colour"):
        swap_attribute(pair, rng, "weight")


def test_the_wording_does_not_depend_on_the_attributes():
    scene = next(scene for scene in scenes(20) if scene.relation == "left of")
    for seed in range(20):
        other, _ = swap_attribute(scene, np.random.default_rng(seed), "colour")
        words, changed = (caption(each, np.random.default_rng(seed)).split() for each in (scene, other))
        assert sum(a != b for a, b in zip(words, changed, strict=True)) == 1
