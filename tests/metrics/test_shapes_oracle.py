"""The oracle reads real drawings right, and notices when a picture does not show its caption."""

import math

import numpy as np
import pytest
import torch

from clipgan.inputs.data.shapes import caption, render, sample_scene, swap_attribute
from clipgan.inputs.data.shapes_captions import Reading, Seen, parse_caption
from clipgan.metrics.shapes_oracle import ATTRIBUTES, hits, read
from tests.metrics import plain_oracle

pytestmark = pytest.mark.numeric


def drawings(count, resolution, seed=0):
    rng = np.random.default_rng(seed)
    scenes = [sample_scene(rng) for _ in range(count)]
    return scenes, [caption(scene, rng) for scene in scenes], pictures(scenes, resolution)


def pictures(scenes, resolution):
    return torch.from_numpy(np.stack([render(scene, resolution).transpose(2, 0, 1) for scene in scenes]))


def with_noise(images, deviation, seed):
    noise = np.random.default_rng(seed).normal(0, deviation, images.shape)
    return torch.from_numpy((images.numpy() + noise).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(("resolution", "least"), [(16, 0.95), (32, 0.99), (64, 0.99)])
def test_real_drawings_are_read(resolution, least):
    scenes, captions, images = drawings(200, resolution)
    readings = read(images)
    shares = [hits(reading, parse_caption(text)) for reading, text in zip(readings, captions, strict=True)]
    for attribute in ATTRIBUTES:
        assert np.nanmean([share[attribute] for share in shares]) >= least
    counts = [len(reading.things) == len(scene.things) for reading, scene in zip(readings, scenes, strict=True)]
    assert np.mean(counts) >= least


def test_noise_of_a_generators_kind_does_no_harm():
    _, captions, images = drawings(100, 32)
    readings = read(with_noise(images, 12, seed=1))
    shares = [hits(reading, parse_caption(text)) for reading, text in zip(readings, captions, strict=True)]
    for attribute in ATTRIBUTES:
        assert np.nanmean([share[attribute] for share in shares]) >= 0.95


@pytest.mark.parametrize("kind", ["drawn", "noisy", "mixed", "noise"])
def test_pictures_are_read_together_as_they_are_one_by_one(kind):
    """Both ways do the same arithmetic; in these pictures, no sum lies within rounding of a threshold."""
    _, _, images = drawings(150, 32, seed=3)
    if kind == "noisy":
        images = with_noise(images, 25, seed=4)
    if kind == "mixed":  # up to four objects
        images = ((images.int() + images.flip(0)) // 2).byte()
    if kind == "noise":
        images = torch.from_numpy(np.random.default_rng(5).integers(0, 256, images.shape, dtype=np.uint8))
    for reading, image in zip(read(images), images, strict=True):
        plain = plain_oracle.read(image.numpy())
        assert (reading.background, len(reading.things)) == (plain.background, len(plain.things))
        for seen, expected in zip(reading.things, plain.things, strict=True):
            assert (seen.colour, seen.size, seen.shape) == (expected.colour, expected.size, expected.shape)
            assert (seen.x, seen.y) == pytest.approx((expected.x, expected.y), rel=1e-5)  # sums of float32


def test_places_are_read():
    scenes, _, images = drawings(50, 32)
    for scene, reading in zip(scenes, read(images), strict=True):
        for thing, place in zip(scene.things, scene.centres(), strict=True):
            [seen] = [seen for seen in reading.things if seen.colour == thing.colour]
            assert math.dist((seen.x, seen.y), place) < 0.06  # a triangle's centroid is 0.25 radii below its place


@pytest.mark.parametrize("attribute", ["colour", "size", "shape", "background"])
def test_a_swapped_attribute_is_missed(attribute):
    rng = np.random.default_rng(2)
    scenes = [sample_scene(rng) for _ in range(40)]
    images = pictures([swap_attribute(scene, rng, attribute)[0] for scene in scenes], 32)
    shares = [hits(seen, parse_caption(caption(s, rng))) for seen, s in zip(read(images), scenes, strict=True)]
    expected = np.mean([1 / 2 if len(scene.things) == 2 and attribute != "background" else 0 for scene in scenes])
    assert np.mean([share[attribute] for share in shares]) == pytest.approx(expected, abs=0.03)
    other = "background" if attribute == "size" else "size"
    assert np.mean([share[other] for share in shares]) >= 0.95


def test_a_caption_is_parsed():
    said = parse_caption("a big red star above a little blue circle, black background")
    things = (Seen("red", "large", "star"), Seen("blue", "small", "circle"))
    assert said == Reading("black", things, "above")
    with pytest.raises(ValueError, match="not a caption of drawn shapes: 'a cat'"):
        parse_caption("a cat")


def test_an_empty_picture_has_a_background_and_nothing_else():
    gray = torch.full((1, 3, 32, 32), 150, dtype=torch.uint8)
    [reading] = read(gray)
    assert reading == Reading("gray", ())
    found = hits(reading, parse_caption("a small red star left of a large blue circle on a gray background"))
    assert found == {"colour": 0, "size": 0, "shape": 0, "position": 0, "background": 1}


def test_position_is_of_the_two_objects_that_the_caption_names():
    said = parse_caption("a small red star left of a large blue circle on a gray background")
    left, right = Seen("red", "small", "star", 0.2, 0.5), Seen("blue", "large", "circle", 0.8, 0.55)
    assert hits(Reading("gray", (left, right)), said)["position"] == 1
    swapped = Reading("gray", (Seen("red", "small", "star", 0.8, 0.5), Seen("blue", "large", "circle", 0.2, 0.5)))
    assert hits(swapped, said)["position"] == 0
    assert hits(Reading("gray", (right,)), said)["colour"] == 0.5
    others = Reading("gray", (Seen("green", "small", "star", 0.2, 0.5), Seen("yellow", "large", "circle", 0.8, 0.5)))
    assert hits(others, said)["position"] == 0  # of objects that nobody asked for
    alone = parse_caption("a small red star on a gray background")
    assert math.isnan(hits(Reading("gray", (left,)), alone)["position"])
    crowded = hits(Reading("gray", (left, right)), alone)
    assert (crowded["colour"], crowded["size"], crowded["shape"]) == (0.5, 0.5, 0.5)  # one too many
