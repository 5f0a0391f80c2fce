"""Find the YAML files, and name the commands of this installation, in a checkout or in an installed wheel."""

import os
import shlex
import shutil
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from clipgan.base.text import shown_path

PACKAGE = Path(__file__).parent.parent


def conf() -> Path:
    """Return the folder of the YAML files: beside the package in a checkout, inside it in an installed wheel."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


def python() -> str:
    """Return the interpreter as the user has called it, such as `python` or `.venv/bin/python`."""
    return sys.orig_argv[0] if sys.orig_argv and sys.orig_argv[0] else sys.executable


def with_this_python(command: str) -> str:
    """Return a command for a shell, of which a leading `python` is the interpreter as the user has called it."""
    program, space, rest = command.partition(" ")
    return f"{shlex.quote(python())}{space}{rest}" if program == "python" else command


def train_program() -> list[str]:
    """Return the program and first arguments that start a training with this Python, from any working directory."""
    script = PACKAGE.parent / "train.py"
    return [sys.executable, str(script if script.is_file() else Path(sysconfig.get_path("scripts"), "clipgan-train"))]


def train_command() -> list[str]:
    """Return the command that starts a training from the working directory: the script, or `python train.py`."""
    script, program = PACKAGE.parent / "train.py", Path(sys.argv[0])
    by_script = program.name == "clipgan-train"
    if by_script or not script.is_file():
        on_path = not by_script or not program.is_file() or shutil.which(program.name)
        return ["clipgan-train" if on_path else str(program)]
    return [python(), str(shown_path(script))]


def module_command(module: str) -> list[str]:
    """Return the command that runs a module of this package from the working directory."""
    try:
        version("clipgan")
        found = True
    except PackageNotFoundError:  # a checkout that is not installed; its train.py finds the package beside itself
        paths = ["", *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        found = any(Path(path).resolve() == PACKAGE.parent for path in paths)
    return [*([] if found else ["env", f"PYTHONPATH={PACKAGE.parent}"]), python(), "-m", module]
