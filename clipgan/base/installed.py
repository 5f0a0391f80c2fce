"""Find the YAML files and the training command, in a checkout or in an installed wheel."""

import sys
import sysconfig
from pathlib import Path

PACKAGE = Path(__file__).parent.parent


def conf() -> Path:
    """Return the folder of the YAML files: beside the package in a checkout, inside it in an installed wheel."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


def train_program() -> list[str]:
    """Return the program and first arguments that start a training with this Python, from any working directory."""
    script = PACKAGE.parent / "train.py"
    return [sys.executable, str(script if script.is_file() else Path(sysconfig.get_path("scripts"), "clipgan-train"))]


def train_command() -> list[str]:
    """Return the command that starts a training: `python train.py` in a checkout, else `clipgan-train`."""
    by_script = Path(sys.argv[0]).name == "clipgan-train"
    in_checkout = (PACKAGE.parent / "train.py").is_file()
    return ["python", "train.py"] if in_checkout and not by_script else ["clipgan-train"]
