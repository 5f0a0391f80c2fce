"""Build the encoder, and the projection head for the contrast of views.

Shapes: N images, R resolution, Q width of the pooled features, P width of the projection.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision.models import ResNet, resnet18, resnet50

from clipgan.base.distributed import total_with_gradient, world_size
from clipgan.config.simclr import SimclrConfig
from clipgan.inputs.encoders.tiny.tiny_resnet import TinyResNet

SMALL = 64  # pixels; up to this size, stem=auto keeps the resolution


class SimclrNetwork(nn.Module):
    """An encoder and its projection head: h = f(x), z = W2 relu(W1 h); a head `bn` normalises both products."""

    def __init__(self, encoder: nn.Module, dim: int, head: nn.Sequential) -> None:
        super().__init__()
        self.encoder, self.dim, self.head = encoder, dim, head

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, R, R] in [-1, 1] -> z, [N, P]."""
        return self.head(self.encoder(images))


def build_network(config: SimclrConfig, resolution: int) -> SimclrNetwork:
    """Build a network with random weights."""
    encoder, dim = build_encoder(config.network, config.stem, resolution)
    return SimclrNetwork(encoder, dim, HEADS[config.head](dim, config.projection))


def plain_head(dim: int, projection: int) -> nn.Sequential:
    """Build two linear layers with a ReLU between them: [N, Q] -> [N, P]."""
    return nn.Sequential(nn.Linear(dim, dim), nn.ReLU(inplace=True), nn.Linear(dim, projection))


def bn_head(dim: int, projection: int) -> nn.Sequential:
    """Build the head of SimCLR's public code (google-research/simclr, `projection_head`): [N, Q] -> [N, P].

    A BatchNorm follows each linear layer, which then needs no bias. The last BatchNorm has a scale and no centre.
    """
    last = nn.BatchNorm1d(projection)
    last.bias.requires_grad_(False)  # it stays 0
    return nn.Sequential(
        nn.Linear(dim, dim, bias=False), nn.BatchNorm1d(dim), nn.ReLU(inplace=True),
        nn.Linear(dim, projection, bias=False), last,
    )  # fmt: skip


HEADS: dict[str, Callable[[int, int], nn.Sequential]] = {"plain": plain_head, "bn": bn_head}


def build_encoder(network: str, stem: str, resolution: int) -> tuple[nn.Module, int]:
    """Build the encoder, from images [N, 3, R, R] to pooled features [N, Q], and return it with Q.

    Args:
        network: tiny | resnet18 | resnet50.
        stem: small | large | auto, see `SimclrConfig`.
        resolution: R.
    """
    if network == "tiny":
        return TinyResNet(), TinyResNet.dim
    encoder: ResNet = {"resnet18": resnet18, "resnet50": resnet50}[network]()
    dim = encoder.fc.in_features
    encoder.fc = nn.Identity()
    if stem == "small" or (stem == "auto" and resolution <= SMALL):
        encoder.conv1 = nn.Conv2d(3, encoder.conv1.out_channels, 3, 1, 1, bias=False)
        nn.init.kaiming_normal_(encoder.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision does
        encoder.maxpool = nn.Identity()
    return encoder, dim


def over_processes(network: nn.Module, device: torch.device) -> None:
    """Let the BatchNorms inside a network compute their statistics over the rows of all processes."""
    if world_size() == 1:
        return
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(network)  # it replaces the BatchNorms in their places
        return
    for module in network.modules():
        if type(module) in JOINT:
            module.__class__ = JOINT[type(module)]  # the subclass has no further attributes


class JointBatchNorm1d(nn.BatchNorm1d):
    """A BatchNorm of rows [n, C] over all processes; torch's own works only on GPUs."""

    def forward(self, x: Tensor) -> Tensor:
        """[n, C] -> the same."""
        return _jointly_normalised(self, x) if self.training else super().forward(x)


class JointBatchNorm2d(nn.BatchNorm2d):
    """A BatchNorm of images [n, C, H, W] over all processes; torch's own works only on GPUs."""

    def forward(self, x: Tensor) -> Tensor:
        """[n, C, H, W] -> the same."""
        return _jointly_normalised(self, x) if self.training else super().forward(x)


JOINT: dict[type[nn.Module], type[nn.Module]] = {nn.BatchNorm1d: JointBatchNorm1d, nn.BatchNorm2d: JointBatchNorm2d}


def _jointly_normalised(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Normalise by the statistics of all processes' rows, [n, C, ...], as many in each, and keep running averages."""
    x, everyone = x.float(), world_size()
    rows, channels = [dim for dim in range(x.ndim) if dim != 1], [1, -1, *[1] * (x.ndim - 2)]
    mean = total_with_gradient(x.mean(dim=rows)) / everyone
    centred = x - mean.view(channels)
    variance = total_with_gradient(centred.square().mean(dim=rows)) / everyone
    if norm.track_running_stats:
        count = x.numel() / x.shape[1] * everyone
        momentum = norm.momentum or 0.0
        with torch.no_grad():
            assert norm.running_mean is not None
            assert norm.running_var is not None
            assert norm.num_batches_tracked is not None
            norm.running_mean.lerp_(mean, momentum)
            norm.running_var.lerp_(variance * count / (count - 1), momentum)
            norm.num_batches_tracked += 1
    scale = norm.weight * (variance + norm.eps).rsqrt()
    return torch.addcmul(norm.bias.view(channels), centred, scale.view(channels))
