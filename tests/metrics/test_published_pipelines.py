"""The preprocessing of published metrics, pixel by pixel, and their networks from files of random weights."""

import numpy as np
import pytest
import timm
import torch
from open_clip import image_transform
from open_clip.transform import PreprocessCfg
from PIL import Image
from torchvision import transforms

from clipgan.base.errors import UserError
from clipgan.metrics.dinov2 import load_dinov2, resampled
from clipgan.metrics.extractors import JudgeExtractor
from clipgan.metrics.pillow_resize import pillow_resize

CPU = torch.device("cpu")
SMALL = "vit_small_patch14_dinov2"  # the architecture of ViT-L/14 with a tenth of its width and depth


def pictures(side, count=2):
    random = np.random.default_rng(0)
    return torch.from_numpy(random.integers(0, 256, (count, 3, side, side), dtype=np.uint8))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file as Meta publishes it: positions of 37 x 37 patches, and a mask token."""
    torch.manual_seed(0)
    model = timm.create_model(SMALL, num_classes=0)
    torch.nn.init.normal_(model.pos_embed)
    path = tmp_path_factory.mktemp("dinov2") / "weights.pth"
    torch.save({**model.state_dict(), "mask_token": torch.zeros(1, 384)}, path)
    return path


def test_dinov2_sees_what_dgm_eval_shows_it(weights):
    extractor = load_dinov2(str(weights), CPU, SMALL)
    assert extractor.mark.startswith("-")  # not the published file
    for side in (32, 256):
        images = pictures(side)
        theirs = transforms.Compose([
            transforms.Resize((224, 224), transforms.InterpolationMode.BICUBIC), transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ])  # fmt: skip
        expected = torch.stack([theirs(Image.fromarray(image.permute(1, 2, 0).numpy())) for image in images])
        torch.testing.assert_close(extractor.pixels(images), expected, rtol=0, atol=1e-6)
    features = extractor(images)["features"]
    assert features.shape == (2, 384)
    tokens = extractor.model.forward_features(extractor.pixels(images))
    torch.testing.assert_close(features, tokens[:, 0])  # the class token, normalised


def test_positions_are_resampled_as_dinov2_does():
    """Cubic interpolation at (i + 1/2) / scale - 1/2, scale (16 + 0.1) / 37, coefficient -0.75, edges repeated."""
    positions = torch.randn(1, 1 + 37 * 37, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64).float()

    def cubic(x):
        x, a = abs(x), -0.75
        return (a + 2) * x**3 - (a + 3) * x**2 + 1 if x <= 1 else a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0

    matrix = np.zeros((16, 37))
    for row in range(16):
        at = (row + 0.5) * 37 / 16.1 - 0.5
        for tap in range(int(np.floor(at)) - 1, int(np.floor(at)) + 3):
            matrix[row, min(max(tap, 0), 36)] += cubic(at - tap)
    grid = positions[0, 1:].numpy().reshape(37, 37, 2)
    expected = np.einsum("ai,bj,ijd->abd", matrix, matrix, grid).reshape(256, 2)
    found = resampled(positions, 16)
    assert torch.equal(found[:, 0], positions[:, 0])
    np.testing.assert_allclose(found[0, 1:].numpy(), expected, atol=1e-5)


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save({"pos_embed": torch.zeros(1, 1370, 8)}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"metrics.dinov2_weights=.* does not fit vit_small_patch14_dinov2"):
        load_dinov2(str(tmp_path / "a.pth"), CPU, SMALL)


def test_a_published_clip_sees_what_open_clip_shows_it():
    """CMMD at 336 pixels and CLIP score at 224: Pillow's bicubic; nothing is cropped from a square."""
    from types import SimpleNamespace

    from clipgan.inputs.encoders.preprocess import Preprocess

    seen = []

    def encode(images):
        seen.append(judge.preprocess(images))
        return torch.zeros(len(images), 4)

    for size in (224, 336):
        config = PreprocessCfg(size=size)
        judge = SimpleNamespace(
            preprocess=Preprocess(size, config.mean, config.std), is_published=True, key="x", encode_image=encode
        )
        for side in (32, 400):
            images = pictures(side)
            JudgeExtractor(judge)(images)
            theirs = image_transform(size, is_train=False, mean=config.mean, std=config.std)
            expected = torch.stack([theirs(Image.fromarray(image.permute(1, 2, 0).numpy())) for image in images])
            torch.testing.assert_close(seen.pop(), expected, rtol=0, atol=1e-5)


def test_images_of_the_right_size_are_left_alone():
    images = pictures(24)
    assert torch.equal(pillow_resize(images, 24), images)
