"""Preprocessing against Pillow's, and its gradient."""

import numpy as np
import pytest
import torch
from PIL import Image

from clipgan.inputs.encoders.preprocess import Preprocess

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


def test_description_tells_preprocessings_apart():
    ours = Preprocess(224, MEAN, STD).describe()
    assert ours == Preprocess(224, MEAN, STD).describe()
    assert ours != Preprocess(336, MEAN, STD).describe()
    assert ours != Preprocess(224, (0.5,) * 3, STD).describe()
    assert ours != Preprocess(224, MEAN, STD, "bilinear").describe()
