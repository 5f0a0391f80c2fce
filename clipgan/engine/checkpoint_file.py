"""Save and load checkpoints: one file with a checksum, written atomically, loaded without executing code.

A file is PyTorch's archive with tensors and plain data, then `SHA256:` and the digest of all bytes before it.
`torch.load` ignores these 71 bytes.
"""

import hashlib
import os
import pickle
import re
import warnings
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import torch

from clipgan.base import lookup
from clipgan.base.durable_files import replacing
from clipgan.base.errors import UserError
from clipgan.base.text import why_unreadable

NAME = re.compile(r"checkpoint-(\d{6,})\.pt")  # a snapshot's file; files with other names belong to the user
PARTS = {  # the parts of the state, by task; a GAN's configuration has no `simclr`
    "gan": ("generator", "discriminator", "generator_ema"),
    "simclr": ("network", "optimizer"),
}
KEYS = {"state", "history", "train_seconds", "config"}
MARK = b"SHA256:"
FOOTER = len(MARK) + 64  # bytes
ARCHIVE = b"PK\x03\x04"  # first bytes of a zip
END_OF_ARCHIVE = (b"PK\x05\x06", 22)  # first bytes and length of its last record


def checkpoint_path(run_dir: Path, units: int) -> Path:
    """Return a snapshot's path, such as `checkpoint-000008.pt` after 8 kimg or 8 epochs."""
    return run_dir / f"checkpoint-{units:06d}.pt"


def snapshots(run_dir: Path) -> list[Path]:
    """List the snapshots' checkpoints in a directory, oldest first; none if the directory does not exist."""
    found = [(int(match[1]), path) for path in run_dir.glob("*.pt") if (match := NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain data to `path`. If the write fails, the old file stays.

    Raises:
        OSError: the file cannot be written, for example because the disk is full.
    """
    with replacing(path) as file:
        digesting = _Digesting(file)
        try:
            torch.save(content, cast(IO[bytes], digesting))
        except RuntimeError as error:  # torch's archive writer hides the file's own error
            if isinstance(error.__context__, OSError):
                raise OSError(error.__context__.errno, error.__context__.strerror, str(path)) from error
            raise
        file.write(MARK + digesting.digest.hexdigest().encode())


def load_checkpoint(
    path: Path, device: torch.device, checksum: bool = False, task: str | None = "gan"
) -> dict[str, Any]:
    """Load a file that `save_checkpoint` wrote.

    Args:
        path: the file.
        device: device for the tensors; with `meta`, only plain data is read, after the checksum is verified.
        checksum: whether the file must have a checksum. Resuming a training needs it; weights may lack it.
        task: the task that the file must belong to; None: any task.

    Raises:
        UserError: the file is missing or damaged, belongs to another task, or holds more than tensors and plain data.
    """
    if not lookup.is_file(path):
        raise UserError(f"resume={path} {lookup.why_no_file(path)}; give a checkpoint file, auto or none")
    try:
        _verify(path, checksum)
        with warnings.catch_warnings(action="ignore"):  # the code below refuses the formats that torch warns of
            content = torch.load(path, map_location=device, weights_only=True)
    except UserError:
        raise
    except pickle.UnpicklingError as error:
        raise UserError(
            f"checkpoint {path} cannot be loaded: {why_unreadable(error)}; a pickle of LAFITE's is converted by"
            " python -m clipgan.import_lafite"
        ) from error
    except Exception as error:
        raise UserError(f"checkpoint {path} cannot be loaded: {why_unreadable(error)}") from error
    if not isinstance(content, dict) or not content.keys() >= KEYS:
        raise UserError(f"checkpoint {path} is not from this project: it lacks some of {', '.join(sorted(KEYS))}")
    found = "simclr" if isinstance(content["config"], dict) and content["config"].get("simclr") else "gan"
    if task not in (None, found):
        raise UserError(f"checkpoint {path} is of task={found}, and one of task={task} is needed")
    parts = (content["state"], PARTS[found]), (content["config"], ("model", "clip", "resolution"))
    if any(not isinstance(part, dict) or not part.keys() >= set(keys) for part, keys in parts):
        raise UserError(f"checkpoint {path} is from another version: its state or its config lacks a part")
    if not _has_known_types(content):
        raise UserError(f"checkpoint {path} is from another version: its step, history or sources have another form")
    return content


def _has_known_types(content: dict[str, Any]) -> bool:
    history, step, number = content["history"], content["state"].get("step", 0), (int, float)
    pairs = isinstance(history, list) and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in history)
    return (
        pairs
        and all(isinstance(value, number) for pair in history for value in pair)
        and isinstance(step, int)
        and step >= 0
        and isinstance(content["train_seconds"], number)
        and isinstance(content.get("sources", {}), dict)
        and all(isinstance(key, str) for key in content["config"])
    )


class _Digesting:
    """A file for `torch.save` that also computes the digest of what it writes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _verify(path: Path, required: bool) -> None:
    """Compare a file with its checksum. A file without a checksum was cut, or another program wrote it.

    Raises:
        UserError: the file has changed since it was written, or lacks a required checksum.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END) - FOOTER
        file.seek(max(size, 0))
        footer = file.read()
        file.seek(0)
        if not footer.startswith(MARK):
            is_archive = file.read(len(ARCHIVE)) == ARCHIVE
            if is_archive and not footer[-END_OF_ARCHIVE[1] :].startswith(END_OF_ARCHIVE[0]):
                raise UserError(f"checkpoint {path} is damaged: its end is not a checkpoint's end")
            if required and size > -FOOTER:
                kind = "holds weights alone" if is_archive else "no checkpoint"
                hint = f"; if it holds a clipgan model, init={path} starts from its weights" if is_archive else ""
                raise UserError(f"checkpoint {path} is damaged, or {kind}: it has no checksum at its end{hint}")
            return
        digest = hashlib.sha256()
        while size > 0 and (data := file.read(min(size, 2**20))):
            digest.update(data)
            size -= len(data)
    if digest.hexdigest().encode() != footer.removeprefix(MARK):
        raise UserError(f"checkpoint {path} is damaged: its content has changed since it was written (SHA-256)")
