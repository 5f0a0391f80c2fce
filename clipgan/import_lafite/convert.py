"""Conversion of LAFITE's modules to this project's tensor names and configuration."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clipgan.base.errors import UserError
from clipgan.base.text import counted
from clipgan.import_lafite.unpickle import Module
from clipgan.models.networks.lafite.resample import kernel

NETWORKS = {"G": "Generator", "G_ema": "Generator", "D": "Discriminator"}  # key in a pickle -> name of the class

# (LAFITE's name, this project's name): replacements that are applied in this order.
GENERATOR_NAMES = (
    (r"^mapping\.fc(\d+)\.", r"mapping.layers.\1."),
    (r"^mapping\.w_avg$", "mapping.w_average"),
    (r"^synthesis\.b4\.const$", "synthesis.constant"),
    (r"^synthesis\.b(\d+)\.", r"synthesis.blocks.\1."),
    (r"\.conv0\.", ".up."),
    (r"\.conv1\.", ".conv."),
    (r"\.torgb\.", ".rgb."),
    (r"\.noise_const$", ".noise"),
    (r"\.affine(_0)?\.", ".style.affine."),
    (r"\.pre_(\d)\.", r".style.text.\1."),
    (r"\.scale_layer_(\d)\.", r".style.scale.\1."),
    (r"\.bias_layer_(\d)\.", r".style.shift.\1."),
)
DISCRIMINATOR_NAMES = (
    (r"^b\d+\.fromrgb\.", "from_rgb."),
    (r"^b4\.conv\.", "conv."),
    (r"^b4\.fc\.", "features."),
    (r"^b4\.out\.", "logit."),
    (r"^b4\.fts\.", "semantic."),
    (r"^b(\d+)\.", r"blocks.\1."),
    (r"\.conv0\.", ".conv."),
    (r"\.conv1\.", ".down."),
)
# Allowed values of attributes, in every module that has them: other variants of LAFITE are not supported.
SUPPORTED: Mapping[str, tuple[Any, ...]] = {
    "c_dim": (0,),
    "cmap_dim": (0,),
    "img_channels": (3,),
    "use_noise": (True,),
    "use_fts": (True,),
    "structure": (1, 2),
    "num_channels": (1,),  # of the minibatch deviation
}


@dataclass(frozen=True)
class Converted:
    """The networks' tensors by this project's names, and the configuration of the networks."""

    generator: dict[str, Tensor]
    generator_ema: dict[str, Tensor]
    discriminator: dict[str, Tensor]
    resolution: int
    clip_dim: int
    model: dict[str, Any]  # keys of `ModelConfig`, dotted


def convert(content: Mapping[str, Any], path: Path) -> Converted:
    """Convert the networks in a pickle.

    Args:
        content: the result of `read_pickle`.
        path: the pickle, for the messages.

    Raises:
        UserError: a network is missing, or differs from LAFITE's published networks.
    """
    try:
        converted = _convert(content, path)
    except (KeyError, AttributeError, TypeError, RuntimeError) as error:  # a foreign module may hold anything
        raise UserError(f"{path}: its networks are not built as LAFITE's are ({error!r})") from error
    numbers = converted.model | {"img_resolution": converted.resolution}
    for key, value in numbers.items():
        if not isinstance(value, int | float):
            raise UserError(f"{path}: {key} is not a number but a {type(value).__name__}")
    return converted


def _convert(content: Mapping[str, Any], path: Path) -> Converted:
    networks: dict[str, Module] = {}
    for name, class_name in NETWORKS.items():
        network = content.get(name)
        if not isinstance(network, Module) or network.class_name != class_name:
            raise UserError(f"{path} has no network {name}: a LAFITE pickle holds G, D and G_ema")
        _refuse_shared(network, name, path)
        networks[name] = network
    generator, discriminator = networks["G_ema"], networks["D"]
    first, second = _text_weights(generator, path)
    for name, network in networks.items():
        _check(network, name, path)
    return Converted(
        generator=_renamed(networks["G"], GENERATOR_NAMES),
        generator_ema=_renamed(generator, GENERATOR_NAMES),
        discriminator=_renamed(discriminator, DISCRIMINATOR_NAMES),
        resolution=generator.attributes["img_resolution"],
        clip_dim=first.shape[1],
        model=_model(generator, discriminator, text_dim=second.shape[0]),
    )


def _refuse_shared(network: Module, name: str, path: Path) -> None:
    """Refuse a module that occurs twice: a few of them, nested, make a tree without end.

    Raises:
        UserError: names the network.
    """
    seen: set[int] = set()
    waiting = [network]
    while waiting:
        module = waiting.pop()
        if id(module) in seen:
            raise UserError(f"{path}: a {module.class_name} occurs twice in {name}, as in no network of LAFITE's")
        seen.add(id(module))
        waiting.extend(module.children().values())


def _text_weights(generator: Module, path: Path) -> tuple[Tensor, Tensor]:
    """Return the two weights of the first style's text network (of either kind of style).

    Raises:
        UserError: it is another network than LAFITE's; says which.
    """
    tensors = dict(generator.tensors())
    kinds = ("pre", "scale_layer")
    for kind in kinds:
        first, second = (tensors.get(f"synthesis.b4.conv1.{kind}_{layer}.weight") for layer in (0, 1))
        if first is not None and second is not None:
            return first, second
    synthesis = generator.children().get("synthesis")
    classes = {module.class_name for _, module in generator.walk()}
    if "SynthesisInput" in classes:
        raise UserError(f"{path} is a StyleGAN3: it takes no text, and its layers are not LAFITE's")
    if synthesis is not None and "b4" in synthesis.children():
        raise UserError(f"{path} is a StyleGAN2 whose layers take no text, not LAFITE's")
    raise UserError(f"{path} is no generator of LAFITE's: it has no layer synthesis.b4.conv1 that takes text")


def _check(network: Module, name: str, path: Path) -> None:
    """Refuse settings that the published training script never uses.

    Raises:
        UserError: quotes the module, the setting and the allowed values.
    """
    for place, module in network.walk():
        for key, allowed in SUPPORTED.items():
            if module.attributes.get(key, allowed[0]) not in allowed:
                where = f"{name}.{place}" if place else name
                wanted = " or ".join(str(value) for value in allowed)
                raise UserError(f"{path}: {where} has {key}={module.attributes[key]}; only {wanted} is supported")
    for place, value in network.tensors():
        if value.is_floating_point() and not torch.isfinite(value).all():
            count = int((~torch.isfinite(value)).sum())
            values = counted(count, "value that is", "values that are")
            raise UserError(f"{path}: {name}.{place} has {values} NaN or infinite: a training that diverged")
        if place.endswith("resample_filter") and not torch.allclose(value, kernel(value.device, value.dtype)[0, 0]):
            raise UserError(f"{path}: {name}.{place} is another filter than [1, 3, 3, 1], the supported one")


def _renamed(network: Module, names: Sequence[tuple[str, str]]) -> dict[str, Tensor]:
    tensors = {}
    for original, value in network.tensors():
        if original.endswith("resample_filter"):
            continue  # this project's networks have the filter as a constant
        name = original
        for pattern, replacement in names:
            name = re.sub(pattern, replacement, name)
        tensors[name] = value[None] if name == "synthesis.constant" else value
    return tensors


def _model(generator: Module, discriminator: Module, text_dim: int) -> dict[str, Any]:
    """Return the settings that vary between LAFITE's pickles; a missing one has the published default."""
    synthesis = generator.attributes["_init_kwargs"].get("synthesis_kwargs", {})
    last = discriminator.children()["b4"]
    clamp = synthesis.get("conv_clamp")
    return {
        "z_dim": generator.attributes["z_dim"],
        "w_dim": generator.attributes["w_dim"],
        "text_dim": text_dim,
        "mapping_layers": generator.children()["mapping"].attributes["num_layers"],
        "channel_base": synthesis.get("channel_base", 32768),
        "channel_max": synthesis.get("channel_max", 512),
        "mbstd_group": last.children()["mbstd"].attributes["group_size"],
        "lafite.conv_clamp": math.inf if clamp is None else clamp,
        "lafite.joined_to": synthesis.get("change", 256),
        "lafite.unit_features": discriminator.attributes["use_norm"],
    }
