"""Whether this is a checkout or what a wheel has installed: where the YAML files are, and how a training is started."""

import sys
from pathlib import Path

PACKAGE = Path(__file__).parent.parent


def conf() -> Path:
    """The folder of the YAML files: beside the package in a checkout, inside it where a wheel was installed."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


def train_command() -> list[str]:
    """What a user types to start a training: the way this one was started, or else the one that there is."""
    by_script = Path(sys.argv[0]).name == "clipgan-train"
    in_checkout = (PACKAGE.parent / "train.py").is_file()
    return ["python", "train.py"] if in_checkout and not by_script else ["clipgan-train"]
