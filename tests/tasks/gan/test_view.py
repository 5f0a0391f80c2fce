"""How the encoders see generated images: each view against torch's own crop, padding and resize."""

import pytest
import torch
import torch.nn.functional as F

from clipgan.base.randomness import StepRandom
from clipgan.config import ViewConfig
from clipgan.inputs.encoders.preprocess import Preprocess
from clipgan.tasks.gan.view import view_of

pytestmark = pytest.mark.numeric
CPU = torch.device("cpu")


def images_of(resolution):
    return torch.rand(2, 3, resolution, resolution, generator=torch.Generator().manual_seed(0)) * 2 - 1


def preprocess(size, mode="bicubic"):
    return Preprocess(size, (0.5,) * 3, (0.5,) * 3, mode)  # keeps pixels as they are


def seen(config, resolution, size, step=0, mode="bicubic"):
    encoder = preprocess(size, mode)
    return encoder(images_of(resolution), view_of(config, encoder, resolution, StepRandom(0, step, 2, CPU), "view"))


def crops(resolution, least):
    """Every crop that may be drawn: its side, top and left."""
    for side in range(max(1, int(least * resolution)), resolution):
        for top in range(resolution - side):
            for left in range(resolution - side):
                yield side, top, left


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(("resolution", "size"), [(8, 8), (12, 8)])
def test_a_crop_is_one_of_torchs(resolution, size, antialias, mode):
    images, found = images_of(resolution), set()
    for step in range(20):
        ours = seen(ViewConfig(crop=0.5, antialias=antialias), resolution, size, step, mode)
        alike = [
            crop
            for crop in crops(resolution, 0.5)
            if torch.allclose(ours, cut_and_resized(images, crop, size, mode, antialias), atol=1e-5)
        ]
        assert len(alike) == 1  # atol: sums of 16 products of numbers up to 2 in float32
        found.update(alike)
    assert len(found) > 8  # another one in each step
    assert len({side for side, _, _ in found}) > 2


def cut_and_resized(images, crop, size, mode, antialias):
    side, top, left = crop
    cut = images[:, :, top : top + side, left : left + side]
    return F.interpolate(cut, (size, size), mode=mode, align_corners=False, antialias=antialias)


def test_a_small_image_lies_on_white_at_a_random_place():
    images, places = images_of(4), set()
    for step in range(20):
        ours = seen(ViewConfig(crop=0.5, pad=True), 4, 9, step)
        place = next(
            (top, left)
            for top in range(5)
            for left in range(5)
            if torch.equal(ours, F.pad(images, (left, 5 - left, top, 5 - top), value=1.0))
        )
        places.add(place)
    assert len(places) > 8


def test_the_default_is_the_encoders_own_view():
    for resolution in (4, 8, 16):
        assert view_of(ViewConfig(), preprocess(8), resolution, StepRandom(0, 0, 2, CPU), "view") is None


def test_without_padding_a_small_image_is_enlarged_as_a_whole():
    images = images_of(4)
    expected = F.interpolate(images, (8, 8), mode="bicubic", align_corners=False)
    torch.testing.assert_close(seen(ViewConfig(crop=0.5, antialias=False), 4, 8), expected, rtol=0, atol=1e-5)


def test_the_gradient_is_torchs():
    config, encoder = ViewConfig(crop=0.5, antialias=False), preprocess(8)
    images = images_of(12).requires_grad_()
    weights = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    ours = encoder(images, view_of(config, encoder, 12, StepRandom(0, 3, 2, CPU), "view"))
    [crop] = [
        crop for crop in crops(12, 0.5)
        if torch.allclose(ours, cut_and_resized(images, crop, 8, "bicubic", False), atol=1e-5)
    ]  # fmt: skip
    theirs = cut_and_resized(images, crop, 8, "bicubic", False)
    [own], [expected] = (torch.autograd.grad((seen * weights).sum(), images) for seen in (ours, theirs))
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-5)
