"""Frozen encoders without BatchNorms compute what the networks with BatchNorms do."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize
from torchvision.models import resnet18, resnet50

from clipgan.inputs.encoders.frozen import FrozenEncoder, weights_digest
from clipgan.inputs.encoders.preprocess import Preprocess
from clipgan.inputs.encoders.resnet import FrozenResNet, freeze_resnet50
from clipgan.inputs.encoders.tiny.tiny_clip import TINY_MODEL, build_clip, register_tiny_model
from clipgan.inputs.encoders.tiny.tiny_resnet import TinyResNet
from clipgan.tasks.simclr.network import build_encoder
from tests.capturable import Capturable
from tests.numeric import CLOSE, rounding

pytestmark = pytest.mark.numeric

SIZE = 32


def small_clip():
    register_tiny_model()
    return build_clip(TINY_MODEL).visual


NETWORKS = {
    "small CLIP": small_clip,
    "small ResNet": TinyResNet,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "SimCLR, small stem": lambda: build_encoder("resnet18", "small", SIZE)[0],
}


def with_statistics(name):
    """A network in evaluation mode whose BatchNorms all do something, each channel in its own way."""
    torch.manual_seed(0)
    network = NETWORKS[name]()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in ((module.weight, 0.5, 1.5), (module.bias, -0.5, 0.5),
                                      (module.running_mean, -0.5, 0.5), (module.running_var, 0.5, 2.0)):  # fmt: skip
                nn.init.uniform_(values, low, high)
    return network.eval().requires_grad_(False)


def frozen(network):
    return FrozenResNet(copy.deepcopy(network), Preprocess(SIZE, (0.5,) * 3, (0.5,) * 3), 8, {"name": "test"})


def features_and_gradient(encode, images):
    images = images.clone().requires_grad_()
    features = normalize(encode(images), dim=1)
    weights = torch.linspace(-1, 1, features.shape[1])
    return features.detach(), torch.autograd.grad((features @ weights).sum(), images)[0]


@pytest.mark.exact
@pytest.mark.parametrize("name", NETWORKS)
def test_no_batch_norm_is_left_and_the_weights_keep_their_name(name):
    network = with_statistics(name)
    encoder = frozen(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in encoder.modules())
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert encoder.weights == weights_digest(network)
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", NETWORKS)
def test_features_and_gradients_stay(name):
    network, images = with_statistics(name), torch.rand(2, 3, SIZE, SIZE) * 2 - 1
    ours = features_and_gradient(frozen(network).encode_image, images)
    theirs = features_and_gradient(network, images)
    for our, their in zip(ours, theirs, strict=True):
        assert (our - their).norm() <= CLOSE * their.norm()


@pytest.mark.parametrize("name", NETWORKS)
def test_features_move_by_rounding_in_float32(name):
    network, images = with_statistics(name), torch.rand(2, 3, SIZE, SIZE) * 2 - 1
    exact = normalize(copy.deepcopy(network).double()(images.double()), dim=1)
    products = sum(module.weight[0].numel() for module in network.modules() if isinstance(module, nn.Conv2d))
    moved = (frozen(network).encode_image(images).double() - exact).norm(dim=1)
    assert (moved <= rounding(products)).all()


@pytest.mark.usefixtures("float64")
def test_torchvisions_network_as_it_is_loaded():
    network = with_statistics("resnet50")
    encoder = freeze_resnet50(copy.deepcopy(network), "IMAGENET1K_V2", "float32")
    network.fc = nn.Identity()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in encoder.modules())
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        ours, theirs = encoder.encode_image(images), normalize(network(encoder.preprocess(images)), dim=1)
    assert (ours - theirs).norm() <= CLOSE


@pytest.mark.exact
def test_other_networks_keep_their_batch_norms():
    """Nothing says that a BatchNorm of an unknown network reads the convolution before it."""
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
    encoder = FrozenEncoder(network, Preprocess(SIZE, (0.5,) * 3, (0.5,) * 3), 4, {"name": "test"})
    assert isinstance(encoder.backbone[1], nn.BatchNorm2d)


@pytest.mark.exact
@pytest.mark.parametrize("name", ["small CLIP", "small ResNet", "resnet18"])
def test_a_graph_can_record_every_use_but_the_first(name):
    encoder, images = frozen(with_statistics(name)), torch.rand(2, 3, 16, 16, requires_grad=True)
    encoder.encode_image(images)
    with Capturable():
        encoder.encode_image(images).sum().backward()
