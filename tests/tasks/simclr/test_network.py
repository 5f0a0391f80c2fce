"""Encoders: stems, sizes, heads, and BatchNorms over several processes."""

import pytest
import torch
from torch import nn

from clipgan.config.simclr import SimclrConfig
from clipgan.tasks.simclr import network as module
from clipgan.tasks.simclr.network import JOINT, build_encoder, build_network

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
def test_the_head_with_batchnorms_is_that_of_the_public_code():
    """google-research/simclr, projection_head: dense, BatchNorm, ReLU, dense, BatchNorm without centre; no biases."""
    torch.manual_seed(0)
    head = build_network(SimclrConfig(head="bn", projection=5), 32).head
    h = 2 * torch.randn(12, 128) + 1
    first, second = head[0].weight, head[3].weight

    def normalised(x):
        return (x - x.mean(dim=0)) / (x.var(dim=0, correction=0) + 1e-5).sqrt()

    expected = normalised(normalised(h @ first.T).relu() @ second.T)
    torch.testing.assert_close(head(h), expected)
    trained = {name for name, parameter in head.named_parameters() if parameter.requires_grad}
    assert trained == {"0.weight", "1.weight", "1.bias", "3.weight", "4.weight"}
    assert not head[4].bias.any()


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("kind", "shape"), [(nn.BatchNorm2d, (4, 5, 6, 6)), (nn.BatchNorm1d, (24, 5))])
def test_joint_statistics_of_one_process_are_torchs(monkeypatch, kind, shape):
    monkeypatch.setattr(module, "total_with_gradient", lambda value: value)
    torch.manual_seed(0)
    ours, theirs = JOINT[kind](5), kind(5)
    for norm in (ours, theirs):
        nn.init.uniform_(norm.weight, generator=torch.Generator().manual_seed(1))
    x = (3 * torch.randn(shape) + 1).requires_grad_()
    again = x.detach().clone().requires_grad_()
    pull = torch.randn(shape)
    (ours(x) * pull).sum().backward()
    (theirs(again) * pull).sum().backward()
    torch.testing.assert_close(x.grad, again.grad)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name))
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))
