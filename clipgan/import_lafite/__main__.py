"""Convert a pickle of LAFITE's training script into a checkpoint.

python -m clipgan.import_lafite FILE.pkl
python -m clipgan.import_lafite FILE.pkl OUT.pt clip=ViT-B16
"""

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import open_clip
import torch
import yaml

from clipgan.base import lookup
from clipgan.base.console import console
from clipgan.base.errors import UserError
from clipgan.base.installed import conf, train_command
from clipgan.config import flatten
from clipgan.config.arguments import key_of, quoted
from clipgan.config.command_line import compose_config, messages_not_tracebacks
from clipgan.engine.checkpoint_file import save_checkpoint
from clipgan.import_lafite.convert import convert
from clipgan.import_lafite.unpickle import read_pickle
from clipgan.inputs.encoders.tiny.tiny_clip import register_tiny_model
from clipgan.inputs.encoders.weights import load_strictly
from clipgan.models.networks.cost import parameter_count
from clipgan.tasks.gan.state import new_state

SHIPPED = "model=lafite"  # the printed training command adds only settings that differ from this option


def import_lafite(source: Path, out: Path, overrides: Sequence[str]) -> list[str]:
    """Write a checkpoint with the weights of the networks in a pickle, at step 0 of a training.

    Args:
        source: a pickle of LAFITE's training script.
        out: the checkpoint.
        overrides: of the configuration, such as `clip=ViT-B16`: the pickle does not name the CLIP of its training.

    Returns:
        The overrides of a training that starts from the checkpoint, without `init`.

    Raises:
        UserError: the file is not a pickle, names anything dangerous, or does not fit the architecture or the CLIP.
    """
    if lookup.exists(out):
        raise UserError(f"{out} exists already; give another name")
    found = convert(read_pickle(source), source)
    shipped = flatten(asdict(compose_config([SHIPPED]).model))
    own = [f"model.{key}={value}" for key, value in found.model.items() if shipped[key] != value]
    fixed = {"model": "lafite", "resolution": found.resolution} | {f"model.{k}": v for k, v in found.model.items()}
    for override in overrides:
        key, value = key_of(override), override.partition("=")[2]
        if key in fixed and yaml.safe_load(value) != fixed[key]:
            raise UserError(f"{override} is not allowed: the networks in {source} have {key}={fixed[key]}")
    settings = [SHIPPED, f"resolution={found.resolution}", *own, *(overrides or ["clip=ViT-B32"])]
    config = compose_config(settings)
    register_tiny_model()
    architecture = open_clip.get_model_config(config.clip.model)
    if architecture is None or architecture["embed_dim"] != found.clip_dim:
        has = "is not a model of open_clip" if architecture is None else f"has {architecture['embed_dim']} dimensions"
        raise UserError(f"clip={config.clip.name} {has}, but {source} was trained with a CLIP of {found.clip_dim}; "
                        f"{clips_of(found.clip_dim)}")  # fmt: skip
    state = new_state(config, found.clip_dim, torch.device("cpu"))
    for name in ("generator", "generator_ema", "discriminator"):
        load_strictly(getattr(state, name), getattr(found, name), f"{source} ({name})", "LAFITE's architecture")
    content = {"state": state.state_dict(), "history": [], "train_seconds": 0.0, "config": asdict(config)}
    try:
        save_checkpoint(out, content)
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}); give another path") from error
    count = parameter_count(state.generator) / 1e6
    size = f"{found.resolution} x {found.resolution}"
    console.print(f"{out}: LAFITE at {size}, G of {count:.1f} M parameters, for clip={config.clip.name}")
    return settings


def clips_of(width: int) -> str:
    """Say which CLIPs to name for a width of the embeddings: this project's options, and else open_clip's models."""
    fitting = [name for name in open_clip.list_models() if open_clip.get_model_config(name)["embed_dim"] == width]
    if not fitting:
        return f"open_clip has no model of {width} dimensions, so this CLIP cannot be named"
    shipped = {file.stem: yaml.safe_load(file.read_text()) for file in sorted((conf() / "clip").glob("*.yaml"))}
    options = [f"clip={name}" for name, settings in shipped.items() if settings["model"] in fitting]
    other = f"clip=open_clip clip.name=NAME, where NAME has {width} dimensions, such as {fitting[0]}"
    return f"name that CLIP: {', '.join(options) or other}"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m clipgan.import_lafite",
        usage="%(prog)s [-h] FILE.pkl [OUT.pt] [KEY=VALUE ...]",
        description=(__doc__ or "").splitlines()[0],
    )
    parser.add_argument("pickle", type=Path, metavar="FILE.pkl", help="a LAFITE pickle; its code is never executed")
    parser.add_argument("more", nargs="*", metavar="[OUT.pt] [KEY=VALUE ...]",
                        help="the new checkpoint, default: FILE.pt; settings that name the CLIP of the pickle's "
                             "training, default: clip=ViT-B32")  # fmt: skip
    given = parser.parse_args()
    named = given.more[:1] if given.more and "=" not in given.more[0] else []
    out = Path(named[0]) if named else given.pickle.with_suffix(".pt")
    with messages_not_tracebacks():
        settings = import_lafite(given.pickle, out, given.more[len(named) :])
        command = shlex.join([*train_command(), *settings, f"init={quoted(str(out))}"])
        console.print(f"train from it: {command}")


if __name__ == "__main__":
    main()
