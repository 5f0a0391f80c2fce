"""GELU or QuickGELU: which of the two a CLIP's weights were trained with, as far as their file tells."""

import shlex
from pathlib import Path

import open_clip

from clipgan.base.console import console
from clipgan.base.errors import UserError
from clipgan.config import ClipConfig
from clipgan.inputs.encoders.tiny.tiny_clip import MODEL_CONFIGS
from clipgan.inputs.encoders.torchscript import is_torchscript

QUICK = "-quickgelu"  # ends open_clip's name of a model that exists with both activations


def check_activation_of_archive(config: ClipConfig) -> None:
    """Refuse OpenAI's weights for a model with another activation; only OpenAI publishes TorchScript archives.

    Raises:
        UserError: names the model with the right activation.
    """
    assert config.checkpoint is not None
    quick_gelu = open_clip.get_model_config(config.model).get("quick_gelu", False)
    if config.model not in MODEL_CONFIGS and not quick_gelu and is_torchscript(Path(config.checkpoint)):
        raise UserError(
            f"clip.checkpoint={config.checkpoint} is OpenAI's archive, trained with QuickGELU, but "
            f"clip.model={config.model} computes GELU; use clip.model={config.model}-quickgelu"
        )


def say_activation(config: ClipConfig, key: str = "clip") -> None:
    """Print which activation a state dict is run with, if it may have been trained with the other one.

    A state dict does not tell GELU from QuickGELU. An archive of OpenAI's does, and so does a pretrained tag.

    Args:
        config: the CLIP, whose weights are there.
        key: its key on the command line, `clip` or `metrics.judge`.
    """
    model, file = config.model.removesuffix(QUICK), config.checkpoint
    if file is None or model == config.model or is_torchscript(Path(file)):
        return
    group = "clip" if key == "clip" else f"clip@{key}"
    console.print(
        f"{key}.checkpoint={file} does not say its activation, and {config.model} computes QuickGELU, as OpenAI's "
        "weights need it; for weights that were trained with GELU, as most of LAION's were, write "
        + shlex.join([f"{group}=open_clip", f"{key}.name={model}", f"{key}.checkpoint={file}"])
    )
