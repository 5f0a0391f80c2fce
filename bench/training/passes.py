"""What each part of a training step launches, counted on the meta device: shapes without values."""

from collections.abc import Callable, Sequence
from typing import Any

import open_clip
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torchvision.models import resnet50

from bench.training.algorithm import Part
from bench.training.ledger import Kernel, ledger
from clipgan.config import ClipConfig, Config, ResNetConfig
from clipgan.inputs.encoders.activation import with_lean_activations
from clipgan.inputs.encoders.tiny_clip import build_clip, register_tiny_model
from clipgan.inputs.encoders.tiny_resnet import TinyResNet, tiny_resnet_preprocess
from clipgan.models.losses.adversarial import path_lengths, r1_penalty
from clipgan.models.networks.build import AnyDiscriminator, build_discriminator, build_generator
from clipgan.models.networks.generator import TextToImage
from clipgan.models.networks.scales import scales_of

RESNET50_PIXELS = 224  # of its input, as for the published weights
Passes = dict[Part, list[Kernel]]


def passes(config: Config) -> Passes:
    """Each part once, at the configuration's batch, resolution and encoders."""
    clip, clip_pixels = clip_tower(config.clip)
    resnet, resnet_pixels = resnet_tower(config.resnet)
    counted = adversarial_passes(config)
    counted["CLIP forward"], counted["CLIP to image"] = encoder_passes(clip, clip_pixels, config.batch)
    counted["ResNet forward"], counted["ResNet to image"] = encoder_passes(resnet, resnet_pixels, config.batch)
    return counted


def clip_tower(config: ClipConfig) -> tuple[nn.Module, int]:
    """CLIP's image tower, and the edge of its input in pixels."""
    register_tiny_model()
    with torch.device("meta"):
        model = build_clip(config.model)
    with_lean_activations(model)
    return model.visual, open_clip.get_model_config(config.model)["vision_cfg"]["image_size"]


def resnet_tower(config: ResNetConfig) -> tuple[nn.Module, int]:
    """The ResNet without classifier, and the edge of its input in pixels."""
    with torch.device("meta"):
        if config.train is not None:
            return TinyResNet(), tiny_resnet_preprocess().size
        network = resnet50()
        network.fc = nn.Identity()
        return network, RESNET50_PIXELS


def encoder_passes(tower: nn.Module, pixels: int, batch: int) -> tuple[list[Kernel], list[Kernel]]:
    """Forward, and the gradient to the images; the resizing before it is left out."""
    tower.eval().requires_grad_(False)
    with sdpa_kernel(SDPBackend.MATH):  # attention as products, which have a formula
        return _both_ways(tower, torch.empty(batch, 3, pixels, pixels, device="meta", requires_grad=True))


def adversarial_passes(config: Config) -> Passes:
    """The parts of G and D."""
    generator, discriminator = networks(config)
    with torch.device("meta"):
        width = clip_width(config)
        return _generator_passes(generator, config, width) | _discriminator_passes(discriminator, config, width)


def networks(config: Config) -> tuple[TextToImage, AnyDiscriminator]:
    """G and D, without values."""
    model, width = config.model, clip_width(config)
    with torch.device("meta"):
        generator = build_generator(model, width, config.resolution)
        discriminator = build_discriminator(model, width, config.resolution)
    for network in (generator, discriminator):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return generator, discriminator


def clip_width(config: Config) -> int:
    """C, the width of CLIP's embedding."""
    register_tiny_model()
    width: int = open_clip.get_model_config(config.clip.model)["embed_dim"]
    return width


def _generator_passes(generator: TextToImage, config: Config, width: int) -> Passes:
    def styles(batch: int) -> Tensor:
        latent = torch.empty(batch, config.model.z_dim)
        return generator.mix(latent, latent, 1)

    def images(ws: Tensor) -> Tensor:
        noise = generator.draw_noise(len(ws), torch.empty)
        return generator.synthesise(ws, torch.empty(len(ws), width), noise)

    def path_length() -> None:
        ws = styles(max(1, config.batch // 2))
        path_lengths(images(ws), ws, torch.empty).sum().backward()

    forward, backward = _both_ways(lambda: images(styles(config.batch)), list(generator.parameters()))
    return {"G forward": forward, "G backward": backward, "path length": ledger(path_length)}


def _discriminator_passes(discriminator: AnyDiscriminator, config: Config, width: int) -> Passes:
    condition = torch.empty(config.batch, width)
    images = torch.empty(config.batch, 3, config.resolution, config.resolution)

    def judge(shown: Tensor) -> Tensor:
        judged = discriminator(scales_of(shown, config.model.multi_scale), condition)
        return judged.logits.sum() + judged.semantic.sum()

    def r1() -> None:
        shown = images.clone().requires_grad_()
        real = scales_of(shown, config.model.multi_scale)
        r1_penalty(discriminator(real, condition).logits, real.all()).backward()

    twice = ledger(r1)
    forward, backward = _both_ways(lambda: judge(images), list(discriminator.parameters()))
    discriminator.requires_grad_(False)
    _, to_image = _both_ways(judge, images.requires_grad_())
    return {"D forward": forward, "D backward": backward, "D to image": to_image, "R1": twice}


def _both_ways(forward: Callable[..., Tensor], to: Tensor | Sequence[Tensor]) -> tuple[list[Kernel], list[Kernel]]:
    """A pass forward and the one backward to `to`: an input, which `forward` is given, or its weights."""
    out: list[Tensor] = []
    ahead = ledger(lambda: out.append(forward(to) if isinstance(to, Tensor) else forward()))

    def backward() -> Any:
        return torch.autograd.grad(out[0].sum(), to, allow_unused=True)

    return ahead, ledger(backward)
