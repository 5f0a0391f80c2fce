"""Build the encoder, and the projection head for the contrast of views.

Shapes: N images, R resolution, Q width of the pooled features, P width of the projection.
"""

import torch
from torch import Tensor, nn
from torchvision.models import ResNet, resnet18, resnet50

from clipgan.base.distributed import total_with_gradient, world_size
from clipgan.config.simclr import SimclrConfig
from clipgan.inputs.encoders.tiny_resnet import TinyResNet

SMALL = 64  # pixels; up to this size, stem=auto keeps the resolution


class SimclrNetwork(nn.Module):
    """An encoder and its projection head: h = f(x), z = W2 relu(W1 h)."""

    def __init__(self, encoder: nn.Module, dim: int, projection: int) -> None:
        super().__init__()
        self.encoder, self.dim = encoder, dim
        self.head = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(inplace=True), nn.Linear(dim, projection))

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, R, R] in [-1, 1] -> z, [N, P]."""
        return self.head(self.encoder(images))


def build_network(config: SimclrConfig, resolution: int) -> SimclrNetwork:
    """Build a network with random weights."""
    encoder, dim = build_encoder(config.network, config.stem, resolution)
    return SimclrNetwork(encoder, dim, config.projection)


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


def over_processes(network: SimclrNetwork, device: torch.device) -> None:
    """Let the encoder's BatchNorms compute their statistics over the rows of all processes."""
    if world_size() == 1:
        return
    if device.type == "cuda":
        network.encoder = nn.SyncBatchNorm.convert_sync_batchnorm(network.encoder)
        return
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = JointBatchNorm  # the subclass has no further attributes


class JointBatchNorm(nn.BatchNorm2d):
    """A BatchNorm over the rows of all processes, with as many rows in each; torch's own works only on GPUs."""

    def forward(self, x: Tensor) -> Tensor:
        """[n, C, H, W] -> the same."""
        if not self.training:
            return super().forward(x)
        x, everyone = x.float(), world_size()
        mean = total_with_gradient(x.mean(dim=(0, 2, 3))) / everyone
        centred = x - mean.view(1, -1, 1, 1)
        variance = total_with_gradient(centred.square().mean(dim=(0, 2, 3))) / everyone
        if self.track_running_stats:
            count = x.numel() / x.shape[1] * everyone
            momentum = self.momentum or 0.0
            with torch.no_grad():
                assert self.running_mean is not None
                assert self.running_var is not None
                assert self.num_batches_tracked is not None
                self.running_mean.lerp_(mean, momentum)
                self.running_var.lerp_(variance * count / (count - 1), momentum)
                self.num_batches_tracked += 1
        scale = self.weight * (variance + self.eps).rsqrt()
        return torch.addcmul(self.bias.view(1, -1, 1, 1), centred, scale.view(1, -1, 1, 1))
