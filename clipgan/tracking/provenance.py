"""Record what a run was started from: commit, command, host, device, and versions of the main libraries."""

import json
import shlex
import socket
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from clipgan.base.checkout import checkout_of
from clipgan.base.durable_files import replace_text
from clipgan.base.installed import PACKAGE
from clipgan.base.secrets import without_passwords

FILE = "provenance.jsonl"  # in the run directory: a line for each process that has trained the run
CODE = ("clipgan", "sweeps", "hydra_plugins", "conf", "train.py", "pyproject.toml")  # what a run executes and reads
LIBRARIES = ("torch", "torchvision", "open_clip_torch", "torch-fidelity", "hydra-core", "optuna", "mlflow", "numpy")
MAX_TAG = 5000  # characters; the lowest limit of MLflow's versions


def describe(device: str) -> dict[str, Any]:
    """Describe this process: where its code is from, how it was started, and on what it runs.

    Args:
        device: a readable name of the device that trains.

    Returns:
        `commit` (None where the code is no checkout of git), `dirty` (whether code or conf differ from the commit; None
        without one), `command` (without passwords), `host`, `device`, `versions` (of Python, clipgan and libraries).
    """
    checkout = checkout_of(PACKAGE / "main.py", CODE)
    return {
        "commit": None if checkout is None else checkout.commit,
        "dirty": None if checkout is None else checkout.changes is not None,
        "command": _command(sys.orig_argv),
        "host": socket.gethostname(),
        "device": device,
        "versions": _versions(),
    }


def write(record: Mapping[str, Any], run_dir: Path, continues: bool) -> None:
    """Write a record of `describe` into the run directory: behind the earlier ones if the run continues."""
    path = run_dir / FILE
    earlier = path.read_text() if continues and path.exists() else ""
    replace_text(path, f"{earlier}{json.dumps(record)}\n")


def tags(record: Mapping[str, Any]) -> dict[str, str]:
    """Turn a record of `describe` into tags of an MLflow run. `mlflow.source.*` are those that its pages show."""
    found = {f"clipgan.{key}": record[key] for key in ("command", "host", "device")}
    found["clipgan.versions"] = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    if record["commit"] is not None:
        found |= {
            "mlflow.source.git.commit": record["commit"],
            "clipgan.commit": f"{record['commit']} with uncommitted changes" if record["dirty"] else record["commit"],
        }
    return {key: text[:MAX_TAG] for key, text in found.items()}


def _command(arguments: Sequence[str]) -> str:
    return shlex.join(["python", *map(without_passwords, arguments[1:])])


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in ("clipgan", *LIBRARIES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a checkout that is not installed
            continue
    return found
