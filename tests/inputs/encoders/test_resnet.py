"""The frozen ResNet: torchvision's from a file, and the small one trained by SimCLR."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torchvision.models import ResNet50_Weights, resnet50

from clipgan.base.errors import UserError
from clipgan.config import ResNetConfig, TinyResNetTraining
from clipgan.inputs.encoders import resnet as resnet_module
from clipgan.inputs.encoders.resnet import load_resnet
from clipgan.inputs.encoders.tiny.tiny_resnet import WEIGHTS, augment, nt_xent, train_tiny_resnet
from tests.numeric import CLOSE, rounding

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")


def few_steps(seed=0):
    return TinyResNetTraining(seed=seed, steps=3, batch=16, lr=1e-3, temperature=0.2)


@pytest.fixture(scope="module")
def resnet50_file(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "resnet50.pth"
    torch.save(resnet50().state_dict(), path)
    return path


@pytest.mark.usefixtures("float64")
def test_resnet50_from_a_file_equals_torchvision(resnet50_file, shapes_data, tmp_path):
    frozen = load_resnet(ResNetConfig(name="resnet50", checkpoint=str(resnet50_file)), shapes_data, tmp_path, CPU)
    assert frozen.dim == 2048
    network = resnet50()
    network.load_state_dict(torch.load(resnet50_file, weights_only=True))
    network.double().eval()
    network.fc = torch.nn.Identity()
    images = torch.rand(2, 3, 224, 224)
    chosen = ResNet50_Weights.IMAGENET1K_V2.transforms()
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (chosen.mean, chosen.std))
    with torch.no_grad():
        features = network((images - mean) / std)
    expected = features / features.norm(dim=1, keepdim=True)
    torch.testing.assert_close(frozen.double().encode_image(images * 2 - 1), expected)


def test_frozen_with_a_gradient_to_the_image(resnet50_file, shapes_data, tmp_path):
    frozen = load_resnet(ResNetConfig(name="resnet50", checkpoint=str(resnet50_file)), shapes_data, tmp_path, CPU)
    frozen.train()
    assert not any(module.training for module in frozen.modules())
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    images = (torch.rand(2, 3, 32, 32) * 2 - 1).requires_grad_()
    frozen.encode_image(images)[:, 0].sum().backward()
    assert images.grad is not None
    assert torch.isfinite(images.grad).all()
    assert (images.grad.flatten(1).abs().sum(1) > 0).all()


@pytest.mark.exact
def test_a_file_of_another_architecture(shapes_data, tmp_path):
    state = resnet50(num_classes=10).state_dict()
    torch.save(state, tmp_path / "ten.pth")
    with pytest.raises(
        UserError, match=r"resnet\.checkpoint=.*ten\.pth does not fit resnet50: fc\.weight is \[10, 2048\]"
    ):
        load_resnet(ResNetConfig(checkpoint=str(tmp_path / "ten.pth")), shapes_data, tmp_path, CPU)


@pytest.mark.exact
def test_unknown_weights(shapes_data, tmp_path):
    with pytest.raises(UserError, match=r"resnet\.pretrained=V3 is not among .*IMAGENET1K_V1, IMAGENET1K_V2"):
        load_resnet(ResNetConfig(pretrained="V3"), shapes_data, tmp_path, CPU)


@pytest.mark.exact
def test_without_a_hub_the_message_says_which_file(shapes_data, tmp_path, monkeypatch):
    monkeypatch.setattr(resnet_module.torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(resnet_module, "unreachable", lambda url: "Name or service not known")
    with pytest.raises(UserError, match=r"Fetch resnet50-11ad3fa6\.pth on .*with resnet\.checkpoint=FILE"):
        load_resnet(ResNetConfig(pretrained="IMAGENET1K_V2"), shapes_data, tmp_path, CPU)


@pytest.mark.usefixtures("float64")
def test_nt_xent_equals_the_formula():
    torch.manual_seed(0)
    projections = torch.randn(6, 4)
    z = projections.double().numpy()
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    losses = []
    for i in range(6):
        weights = np.exp(z @ z[i] / 0.2)
        weights[i] = 0
        losses.append(-np.log(weights[(i + 3) % 6] / weights.sum()))
    assert nt_xent(projections, 0.2).item() == pytest.approx(np.mean(losses), rel=CLOSE)


def test_views_keep_the_range_and_the_shape():
    images = torch.rand(8, 3, 32, 32) * 2 - 1
    views = augment(images, torch.Generator().manual_seed(0), x_flip=True)
    assert views.shape == images.shape
    assert views.abs().max() <= 1
    assert (views != images).flatten(1).any(1).all()
    torch.testing.assert_close(augment(images, torch.Generator().manual_seed(0), x_flip=True), views)


def test_without_flips_left_stays_left():
    images = torch.full((64, 3, 32, 32), -1.0)
    images[:, :, :, :16] = 1.0  # bright on the left
    views = augment(images, torch.Generator().manual_seed(0), x_flip=False)
    left, right = (views[..., part].mean(dim=(1, 2, 3)) for part in (slice(8), slice(-8, None)))
    assert (left >= right - rounding(3 * 32 * 8)).all()
    mirrored = augment(images, torch.Generator().manual_seed(0), x_flip=True)
    assert (mirrored[..., :8].mean(dim=(1, 2, 3)) < mirrored[..., -8:].mean(dim=(1, 2, 3)) - 0.1).any()


@pytest.mark.slow
def test_the_small_resnet_is_determined_by_its_seed_and_cached(folder_data, tmp_path):
    first = train_tiny_resnet(few_steps(), folder_data, tmp_path / "a")
    again = train_tiny_resnet(few_steps(), folder_data, tmp_path / "b")
    other = train_tiny_resnet(few_steps(seed=1), folder_data, tmp_path / "a")
    weights, same, different = (load_file(entry / WEIGHTS) for entry in (first, again, other))
    assert all(torch.equal(weights[name], same[name]) for name in weights)
    assert not torch.equal(weights["stem.0.weight"], different["stem.0.weight"])
    report = json.loads((first / "report.json").read_text())
    assert 0 < report["view_retrieval_top1"] <= 1

    frozen = load_resnet(ResNetConfig(train=few_steps()), folder_data, tmp_path / "a", CPU)
    assert frozen.dim == 128
    images = torch.from_numpy(folder_data.heldout.images[:3]).float().div(127.5).sub(1).requires_grad_()
    features = frozen.encode_image(images)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(3))
    (features @ torch.linspace(-1, 1, 128)).sum().backward()
    assert images.grad is not None
    assert torch.isfinite(images.grad).all()
    assert (images.grad.flatten(1).abs().sum(1) > 0).all()
