"""Where the YAML files are, and how a training is started, in a checkout and in an installed wheel."""

import sys
from pathlib import Path

PACKAGE = Path(__file__).parent.parent


def conf() -> Path:
    """The folder of the YAML files: beside the package in a checkout, inside it where a wheel was installed."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


def train_command() -> list[str]:
    """The command that starts a training: the one that started this process, or else the one that is there."""
    by_script = Path(sys.argv[0]).name == "clipgan-train"
    in_checkout = (PACKAGE.parent / "train.py").is_file()
    return ["python", "train.py"] if in_checkout and not by_script else ["clipgan-train"]
