"""Find the YAML files, and name the commands of this installation, in a checkout or in an installed wheel."""

import os
import shlex
import shutil
import sys
import sysconfig
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from clipgan.base.text import shown_path

PACKAGE = Path(__file__).parent.parent
SCRIPT = "clipgan-train"


def conf() -> Path:
    """Return the folder of the YAML files: beside the package in a checkout, inside it in an installed wheel."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


def python() -> str:
    """Return the interpreter as the user has called it, such as `python` or `.venv/bin/python`."""
    return sys.orig_argv[0] if sys.orig_argv and sys.orig_argv[0] else sys.executable


def with_this_python(command: str) -> str:
    """Return a command for a shell, as the user can call it here.

    A leading `python` is the interpreter as the user has called it, a leading `clipgan-train` has its folder if PATH
    lacks it.
    """
    program, space, rest = command.partition(" ")
    here = {"python": python, SCRIPT: _called}.get(program)
    return command if here is None else f"{shlex.quote(here())}{space}{rest}"


def train_program() -> list[str]:
    """Return the program and first arguments that start a training with this Python, from any working directory."""
    script = PACKAGE.parent / "train.py"
    return [sys.executable, str(script if script.is_file() else _script())]


def train_command() -> list[str]:
    """Return the command that starts a training from the working directory: the script, or `python train.py`."""
    script = PACKAGE.parent / "train.py"
    if Path(sys.argv[0]).name == SCRIPT or not script.is_file():
        return [_called()]
    return [python(), str(shown_path(script))]


def _called() -> str:
    """Name the command `clipgan-train`, with its folder where PATH lacks it or has another one."""
    path, found = _script(), shutil.which(SCRIPT)
    return str(path) if path.is_file() and not (found and path.samefile(found)) else SCRIPT


def _script() -> Path:
    """Find the command `clipgan-train` of this installation: `pip install --user` puts it into another folder."""
    started = Path(sys.argv[0])
    if started.name == SCRIPT and started.is_file():
        return started
    with suppress(PackageNotFoundError):
        for file in distribution("clipgan").files or ():
            if file.name == SCRIPT and (path := Path(str(file.locate())).resolve()).is_file():
                return path
    return Path(sysconfig.get_path("scripts"), SCRIPT)


def module_command(module: str) -> list[str]:
    """Return the command that runs a module of this package from the working directory."""
    try:
        version("clipgan")
        found = True
    except PackageNotFoundError:  # a checkout that is not installed; its train.py finds the package beside itself
        paths = ["", *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        found = any(Path(path).resolve() == PACKAGE.parent for path in paths)
    return [*([] if found else ["env", f"PYTHONPATH={PACKAGE.parent}"]), python(), "-m", module]
