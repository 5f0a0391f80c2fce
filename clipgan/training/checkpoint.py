"""Checkpoints: tensors and plain data in one file, written atomically, loaded without executing code."""

import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch

from clipgan.errors import UserError

PATTERN = "checkpoint-*.pt"
PARTS = ("generator", "discriminator", "generator_ema")  # of the state
KEYS = {"state", "history", "train_seconds", "config"}


def checkpoint_path(run_dir: Path, kimg: int) -> Path:
    """`checkpoint-000008.pt` after 8 kimg."""
    return run_dir / f"checkpoint-{kimg:06d}.pt"


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a file beside `path`, flush it to the disk, rename it: `path` is whole or not there."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """What `save_checkpoint` wrote.

    Raises:
        UserError: the file is missing, damaged, or holds more than tensors and plain data.
    """
    if not path.is_file():
        raise UserError(f"resume={path} does not exist; give a checkpoint file, auto or none")
    try:
        with warnings.catch_warnings(action="ignore"):  # of formats that are refused below
            content = torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"checkpoint {path} holds more than tensors and plain data, or none at all: nothing of it is executed;"
            " a pickle of LAFITE's is converted by python -m clipgan.import_lafite"
        ) from error
    except Exception as error:
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"checkpoint {path} cannot be loaded: {cause}") from error
    if not isinstance(content, dict) or not content.keys() >= KEYS:
        raise UserError(f"checkpoint {path} is none of this project: it lacks some of {', '.join(sorted(KEYS))}")
    parts = (content["state"], PARTS), (content["config"], ("model", "clip", "resolution"))
    if any(not isinstance(part, dict) or not part.keys() >= set(keys) for part, keys in parts):
        raise UserError(f"checkpoint {path} is none of this version: its state or its config lacks a part")
    return content


def resume_path(resume: str, run_dir: Path) -> Path | None:
    """The checkpoint to start from: the run directory's last (auto), the named file, or None."""
    if resume == "none":
        return None
    if resume == "auto":
        return max(run_dir.glob(PATTERN), default=None)
    return Path(resume)


def keep_only(run_dir: Path, keep: set[Path]) -> None:
    """Delete the run directory's other checkpoints."""
    for path in run_dir.glob(PATTERN):
        if path not in keep:
            path.unlink()
