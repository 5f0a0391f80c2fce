"""Start a training from a checkpoint's weights (`init`). Resuming a training (`resume`) loads its whole state instead.

G and its average start from the moving average, and D from D. Optimisers, schedule and step are new.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clipgan.base import lookup
from clipgan.base.console import console
from clipgan.base.errors import UserError
from clipgan.base.text import listed
from clipgan.config import MLFLOW_RUN, Config, ModelConfig, flatten
from clipgan.engine.checkpoint_file import load_checkpoint
from clipgan.engine.mlflow_checkpoint import checkpoint_of_run
from clipgan.tasks.gan.state import TrainingState

WIDTHS = ("z_dim", "w_dim", "text_dim", "mapping_layers", "mapping_multiplier", "channel_base", "channel_max",
          "channel_multiplier", "spatial_seed", "multi_scale", "lafite.joined_to")  # fmt: skip
SHOWN = 8  # largest number of layers in a line


@dataclass(frozen=True)
class InitialWeights:
    """The weights of a checkpoint, from which another training starts."""

    path: Path
    resolution: int
    clip: str  # the name of the CLIP that guided its training
    generator: Mapping[str, Tensor]  # the moving average
    discriminator: Mapping[str, Tensor]


def read_initial(config: Config) -> InitialWeights:
    """Load the weights that `config.init` names.

    Raises:
        UserError: the file or run does not exist or is not a checkpoint, or its networks have other widths.
    """
    given = config.init
    assert given is not None
    if given.startswith(MLFLOW_RUN):
        path = checkpoint_of_run(given.removeprefix(MLFLOW_RUN), config.mlflow, f"init={given}")
    else:
        path = Path(given).expanduser()
        if not lookup.is_file(path):
            raise UserError(f"init={given} {lookup.why_no_file(path)}; give a checkpoint file, or {MLFLOW_RUN}RUN_ID")
    checkpoint = load_checkpoint(path, torch.device("cpu"))
    theirs, state = checkpoint["config"], checkpoint["state"]
    _refuse_other_architecture(path, theirs["model"], config.model)
    _refuse_other_widths(path, theirs["model"], config.model)
    return InitialWeights(
        path, theirs["resolution"], theirs["clip"]["name"], state["generator_ema"], state["discriminator"]
    )


def start_from(state: TrainingState, weights: InitialWeights, config: Config) -> None:
    """Copy the fitting weights into a new state, and print the layers that keep their random weights.

    Networks of different resolutions share the layers up to the lower resolution. If CLIP's width differs, the layers
    that read or write its embedding do not fit.

    Raises:
        UserError: Freeze-D would freeze a layer that the checkpoint does not have.
    """
    new = _copy_fitting(state.generator, weights.generator)
    state.generator_ema.load_state_dict(state.generator.state_dict())
    _report("G", state.generator, new, weights.generator, weights.path)
    discriminator = state.discriminator
    new = _copy_fitting(
        discriminator, discriminator.renumbered(weights.discriminator, weights.resolution, config.resolution)
    )
    _report("D", discriminator, new, weights.discriminator, weights.path)
    frozen = [name for name, parameter in discriminator.named_parameters() if not parameter.requires_grad]
    if random := [name for name in frozen if name in new]:
        raise UserError(f"freeze_d={config.freeze_d} would keep layers that init={config.init} does not have "
                        f"({_layers(random)}); freeze_d=0 trains all")  # fmt: skip
    if weights.clip != config.clip.name:
        console.print(f"weights were trained with clip={weights.clip}, this is clip={config.clip.name}")


def _copy_fitting(network: nn.Module, weights: Mapping[str, Tensor]) -> list[str]:
    """Copy each tensor with the name and shape of one in `network`; return the names of the network's other tensors."""
    state = network.state_dict()
    fitting = {name: weights[name] for name in state if name in weights and weights[name].shape == state[name].shape}
    network.load_state_dict(fitting, strict=False)
    return [name for name in state if name not in fitting]


def _report(name: str, network: nn.Module, new: list[str], weights: Mapping[str, Tensor], path: Path) -> None:
    taken = len(network.state_dict()) - len(new)
    line = f"{name} starts from {taken} of {len(weights)} tensors of {path}"
    console.print(line + (f"; new layers: {_layers(new)}" if new else ""))


def _layers(names: list[str]) -> str:
    """Turn names of tensors into a list of layers: `from_rgb, blocks.0.conv`."""
    layers = list(dict.fromkeys(name.rpartition(".")[0] or name for name in names))
    return listed(layers, SHOWN)


def _refuse_other_architecture(path: Path, theirs: Mapping[str, Any], ours: ModelConfig) -> None:
    """Raise UserError if one of them has LAFITE's networks and the other has this project's."""
    if (theirs.get("lafite") is None) != (ours.lafite is None):
        there, here = "this project's own", "LAFITE's"
        if ours.lafite is None:
            there, here = here, there
        raise UserError(f"init={path} has {there} networks, model={ours.name} has {here}; "
                        f"choose the model that it has: model={theirs['name']}")  # fmt: skip


def _refuse_other_widths(path: Path, theirs: Mapping[str, Any], ours: ModelConfig) -> None:
    """Raise UserError with the keys and values of the checkpoint's networks if their widths differ."""
    unsaid = flatten(asdict(ModelConfig()))  # earlier versions saved fewer keys
    there, here = unsaid | flatten(theirs), flatten(asdict(ours))
    keys = [key for key in here if key.startswith(WIDTHS) and there.get(key) != here[key]]
    if keys:
        differences = "; ".join(f"model.{key}={there.get(key)} there, {here[key]} here" for key in keys)
        settings = " ".join(f"model.{key}={there.get(key)}" for key in keys)
        raise UserError(f"init={path} has networks of other widths ({differences}); start from it with {settings}")
