"""The frozen ResNet: torchvision's resnet50, pretrained or from a file, or the small ResNet trained here."""

from pathlib import Path

import torch
from torch import nn
from torchvision.models import ResNet, ResNet50_Weights, resnet50

from clipgan.base.errors import UserError
from clipgan.base.text import first_line
from clipgan.base.vectors import unit
from clipgan.config import ResNetConfig
from clipgan.inputs.data.pack import PackedData
from clipgan.inputs.encoders.frozen import FrozenEncoder
from clipgan.inputs.encoders.preprocess import Preprocess, Resizing
from clipgan.inputs.encoders.tiny.tiny_resnet import WEIGHTS, TinyResNet, tiny_resnet_preprocess, train_tiny_resnet
from clipgan.inputs.encoders.weights import SkipRandomInit, load_strictly, read_state_dict, unreachable

ARCHITECTURE = "resnet50"
DEFAULT_WEIGHTS = "IMAGENET1K_V2"  # a checkpoint without `pretrained` uses the preprocessing of these weights


class FrozenResNet(FrozenEncoder):
    """A ResNet whose globally pooled features are the embedding."""

    def encode_image(self, images: torch.Tensor, resizing: Resizing | None = None) -> torch.Tensor:
        """Encode images [N, 3, R, R] in [-1, 1] to float32 [N, dim] of unit length; differentiable."""
        with self.autocast():
            features = self.backbone(self.pixels(images, resizing)).float()
        return unit(features)


def load_resnet(config: ResNetConfig, data: PackedData, cache_dir: Path, device: torch.device) -> FrozenResNet:
    """Load the ResNet that `config` names: the small ResNet if `config.train` is given, else torchvision's resnet50.

    Its weights come from `config.checkpoint` if given, else from a training on `data` (cached) or the pretrained tag.

    Raises:
        UserError: the weights' name is unknown, their file is missing or foreign, or they cannot be downloaded.
    """
    if config.train is not None:
        network = TinyResNet()
        if config.checkpoint is not None:
            path = Path(config.checkpoint)
        else:
            path = train_tiny_resnet(config.train, data, cache_dir, device) / WEIGHTS
        load_strictly(network, read_state_dict(path, "resnet.checkpoint"), str(path), "the small ResNet")
        frozen = FrozenResNet(network, tiny_resnet_preprocess(), network.dim, {"name": "tiny"}, config.precision)
    else:
        frozen = _load_resnet50(config)
    return frozen.to(device)


def _load_resnet50(config: ResNetConfig) -> FrozenResNet:
    weights = _weights(config.pretrained or DEFAULT_WEIGHTS)
    if config.checkpoint is not None:
        path, source = Path(config.checkpoint), f"resnet.checkpoint={config.checkpoint}"
    else:
        path, source = _pretrained_file(config, weights.url), f"resnet.pretrained={config.pretrained}"
    with SkipRandomInit():
        network = resnet50()
    load_strictly(network, read_state_dict(path, "resnet.checkpoint"), source, ARCHITECTURE)
    return freeze_resnet50(network, weights.name, config.precision)


def freeze_resnet50(network: ResNet, weights: str, precision: str) -> FrozenResNet:
    """Freeze torchvision's network without its classifier, with the preprocessing of the named weights.

    Their resize-and-crop is left out, because a generated image already fills the frame.
    """
    dim = network.fc.in_features
    network.fc = nn.Identity()
    chosen = _weights(weights).transforms()
    preprocess = Preprocess(chosen.crop_size[0], chosen.mean, chosen.std, chosen.interpolation.value)
    return FrozenResNet(network, preprocess, dim, {"name": ARCHITECTURE}, precision)


def _weights(name: str):  # type: ignore[no-untyped-def]  # torchvision's enum of weights
    if name not in ResNet50_Weights.__members__:
        names = ", ".join(ResNet50_Weights.__members__)
        raise UserError(f"resnet.pretrained={name} is not among torchvision's weights of {ARCHITECTURE}: {names}")
    return ResNet50_Weights[name]


def _pretrained_file(config: ResNetConfig, url: str) -> Path:
    """Return the weights file in torch's hub cache; download it first if it is missing."""
    name = url.rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if path.is_file():
        return path
    reason = unreachable(url)
    if reason is None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=name.rpartition("-")[2].removesuffix(".pth"))
            return path
        except (OSError, RuntimeError) as error:
            reason = first_line(error)
    raise UserError(
        f"resnet.pretrained={config.pretrained}: its weights are not cached here and {url} cannot be reached "
        f"({reason}). Fetch {name} on another machine and give the file with resnet.checkpoint=FILE"
    )
