"""Preprocessing against Pillow's, and its gradient."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from clipgan.inputs.encoders.preprocess import Preprocess, whole
from tests.numeric import CLOSE, rounding

pytestmark = pytest.mark.numeric

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def smooth_pixels(resolution):
    """Gradients of colour without overshoot at edges: uint8 [R, R, 3]."""
    y, x = np.mgrid[0:resolution, 0:resolution] / resolution
    waves = np.stack([np.sin(5 * x) * np.cos(3 * y), np.cos(4 * x + y), np.sin(3 * (x + y))], axis=-1)
    return (127.5 + 100 * waves).round().astype(np.uint8)


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
@pytest.mark.parametrize("resolution", [32, 256, 512])
def test_equals_pillows_resampling(resolution, mode):
    pixels = smooth_pixels(resolution)
    resample = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}[mode]
    channels = [
        Image.fromarray(pixels[..., k].astype(np.float32), mode="F").resize((224, 224), resample) for k in range(3)
    ]
    expected = (np.stack([np.asarray(channel) for channel in channels]) / 255 - np.reshape(MEAN, (3, 1, 1))) / (
        np.reshape(STD, (3, 1, 1))
    )
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
    ours = Preprocess(224, MEAN, STD, mode)(images)[0]
    assert ours.shape == (3, 224, 224)
    np.testing.assert_allclose(ours.numpy(), expected, atol=2e-4)


SIZES = [(32, 224), (64, 32), (256, 224), (256, 336)]
PLAIN = ((0.5,) * 3, (0.5,) * 3)  # mean and std of a preprocessing that only resizes


def resized_with_gradient(resize, images, weights):
    """The resized images, and the gradient of their sum weighted by `weights`."""
    images = images.clone().requires_grad_()
    resized = resize(images)
    return resized.detach(), torch.autograd.grad((resized * weights).sum(), images)[0]


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("source", "target"), SIZES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_equals_torchs_antialiased_resize(source, target, mode, dtype, request):
    """Against PyTorch's resize in float64: PyTorch in float32 also rounds the places that it reads."""
    if dtype == torch.float64:
        request.getfixturevalue("float64")
    random = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, source, source, generator=random, dtype=dtype) * 2 - 1
    weights = torch.randn(2, 3, target, target, generator=random, dtype=dtype)
    ours = resized_with_gradient(Preprocess(target, *PLAIN, mode), images, weights)
    theirs = resized_with_gradient(
        lambda x: interpolate(x, size=target, mode=mode, align_corners=False, antialias=True),
        images.double(), weights.double(),
    )  # fmt: skip
    matrix = whole(source, target, mode, torch.float64, images.device).abs()
    largest = (matrix @ images.double().abs() @ matrix.T, matrix.T @ weights.double().abs() @ matrix)
    for our, their, terms in zip(ours, theirs, largest, strict=True):
        # two sums of `source` or `target` products, their rounded weights, and the three operations of normalisation
        bound = CLOSE if dtype == torch.float64 else rounding(2 * max(source, target) + 2 + 6)
        assert our.dtype == dtype
        assert ((our.double() - their).abs() <= bound * (terms + 2)).all()


@pytest.mark.usefixtures("float64")
def test_the_resize_can_be_differentiated_again():
    images = (torch.rand(1, 3, 6, 6) * 2 - 1).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: Preprocess(4, *PLAIN)(x).square(), images)


def test_a_resize_keeps_its_precision_under_autocast():
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    expected = Preprocess(64, *PLAIN)(images)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(Preprocess(64, *PLAIN)(images), expected)


def test_an_image_of_the_right_size_is_normalised_only():
    images = torch.rand(2, 3, 224, 224) * 2 - 1
    expected = (images * 0.5 + 0.5 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    torch.testing.assert_close(Preprocess(224, MEAN, STD)(images), expected)


def test_half_precision_images_come_out_in_float32():
    images = (torch.rand(1, 3, 32, 32) * 2 - 1).bfloat16()
    assert Preprocess(64, MEAN, STD)(images).dtype == torch.float32


def test_gradient_passes_beyond_the_range_too():
    images = torch.full((1, 3, 16, 16), 1.5, requires_grad=True)
    Preprocess(32, MEAN, STD)(images).sum().backward()
    assert images.grad is not None
    assert torch.isfinite(images.grad).all()
    assert (images.grad > 0).all()


@pytest.mark.exact
def test_description_tells_preprocessings_apart():
    ours = Preprocess(224, MEAN, STD).describe()
    assert ours == Preprocess(224, MEAN, STD).describe()
    assert ours != Preprocess(336, MEAN, STD).describe()
    assert ours != Preprocess(224, (0.5,) * 3, STD).describe()
    assert ours != Preprocess(224, MEAN, STD, "bilinear").describe()
