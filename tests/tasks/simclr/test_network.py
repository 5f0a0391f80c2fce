"""Encoders: stems, sizes, and BatchNorms over several processes."""

import pytest
import torch
from torch import nn

from clipgan.config.simclr import SimclrConfig
from clipgan.tasks.simclr import network as module
from clipgan.tasks.simclr.network import JointBatchNorm, build_encoder, build_network

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize(("name", "dim"), [("tiny", 128), ("resnet18", 512), ("resnet50", 2048)])
def test_features_and_projection(name, dim):
    network = build_network(SimclrConfig(network=name, projection=24), 32).eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert network.encoder(images).shape == (2, dim)
        assert network(images).shape == (2, 24)


def test_the_small_stem_keeps_the_resolution():
    sizes = {}
    for stem, resolution in (("auto", 32), ("auto", 128), ("small", 128), ("large", 32)):
        encoder, _ = build_encoder("resnet18", stem, resolution)
        seen = []
        encoder.layer1.register_forward_hook(lambda m, inputs, output, seen=seen: seen.append(output.shape[-1]))
        encoder.eval()(torch.rand(1, 3, resolution, resolution))
        sizes[stem, resolution] = seen[0]
    assert sizes == {("auto", 32): 32, ("auto", 128): 32, ("small", 128): 128, ("large", 32): 8}


@pytest.mark.usefixtures("float64")
def test_joint_statistics_of_one_process_are_torchs(monkeypatch):
    monkeypatch.setattr(module, "total_with_gradient", lambda value: value)
    torch.manual_seed(0)
    ours, theirs = JointBatchNorm(5), nn.BatchNorm2d(5)
    for norm in (ours, theirs):
        nn.init.uniform_(norm.weight, generator=torch.Generator().manual_seed(1))
    x = (3 * torch.randn(4, 5, 6, 6) + 1).requires_grad_()
    again = x.detach().clone().requires_grad_()
    pull = torch.randn(4, 5, 6, 6)
    (ours(x) * pull).sum().backward()
    (theirs(again) * pull).sum().backward()
    torch.testing.assert_close(x.grad, again.grad)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name))
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))
