"""A frozen network of timm, pretrained or from a file, for a projected discriminator."""

import difflib
from pathlib import Path
from typing import Any

import timm
from timm.data import resolve_data_config
from timm.models import PretrainedCfg

from clipgan.base.errors import UserError
from clipgan.config import DiscriminatorConfig
from clipgan.inputs.encoders.frozen import FrozenEncoder
from clipgan.inputs.encoders.hub import hub_file
from clipgan.inputs.encoders.preprocess import Preprocess
from clipgan.inputs.encoders.weights import SkipRandomInit, load_strictly, read_state_dict


def load_timm_network(config: DiscriminatorConfig) -> FrozenEncoder:
    """Load the network that `discriminator.network` names, on the CPU.

    Its weights come from `config.checkpoint` if given, else from timm's pretrained tag.

    Raises:
        UserError: timm does not know the model or its tag, the weights file is missing or foreign, or the weights
            cannot be downloaded.
    """
    name = config.network
    assert name is not None
    check_timm_name(name)
    pretrained = timm.get_pretrained_cfg(name)
    settings = pretrained or PretrainedCfg()
    if config.checkpoint is not None:
        with SkipRandomInit():
            model: Any = timm.create_model(name, pretrained=False)
        state = read_state_dict(Path(config.checkpoint), "discriminator.checkpoint")
        load_strictly(model, state, f"discriminator.checkpoint={config.checkpoint}", name)
    else:
        model = _pretrained_model(name, pretrained)
    data = resolve_data_config({}, pretrained_cfg=settings.to_dict())
    interpolation = "bilinear" if data["interpolation"] == "bilinear" else "bicubic"
    preprocess = Preprocess(data["input_size"][-1], data["mean"], data["std"], interpolation)
    return FrozenEncoder(model, preprocess, int(model.num_features), {"timm": name}, config.precision)


def check_timm_name(name: str) -> None:
    """Refuse a name that timm does not know; a name may end with `.TAG`, timm's name of the weights.

    Raises:
        UserError: lists close names, or the model's tags.
    """
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        close = difflib.get_close_matches(architecture, timm.list_models(), n=5, cutoff=0.3)
        raise UserError(f"discriminator.network={name} is not a model of timm; close names: {', '.join(close)}")
    tags = [each.partition(".")[2] for each in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise UserError(f"discriminator.network={name}: {tag} is not among timm's tags of {architecture}: "
                        f"{', '.join(tags) or 'none'}")  # fmt: skip


def _pretrained_model(name: str, pretrained: PretrainedCfg | None) -> Any:
    """Make the model with timm's own weights, from the local cache of the hub or downloaded."""
    repository = pretrained.hf_hub_id if pretrained is not None else None
    if repository is None:
        raise UserError(f"discriminator.network={name} has no weights in timm; give discriminator.checkpoint=FILE")
    hub_file(
        repository, ["model.safetensors", "pytorch_model.bin"], f"discriminator.network={name}",
        "discriminator.checkpoint",
    )  # fmt: skip
    return timm.create_model(name, pretrained=True)
