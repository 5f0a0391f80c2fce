"""The files that a configuration names, and a training reads."""

from pathlib import Path
from typing import Any

from clipgan.base import lookup
from clipgan.config.metrics import LISTS
from clipgan.config.training import MLFLOW_RUN

CAPTIONS = "metrics.captions"
FILES = (
    "data.path", "data.heldout_path", "clip.checkpoint", "resnet.checkpoint", "discriminator.checkpoint",
    "metrics.judge.checkpoint", "metrics.inception_weights", "metrics.dinov2_weights", "metrics.cmmd_weights",
    CAPTIONS, "init", "resume",
)  # fmt: skip
NO_FILES = ("auto", "none")  # of `resume`


def missing_file(node: Any) -> str | None:
    """Return a message about the first file that does not exist; None: all are there.

    Args:
        node: a composed OmegaConf DictConfig.

    Raises:
        UnreadableError: this user may not look a path up.
    """
    from omegaconf import OmegaConf

    for key in FILES:
        value = OmegaConf.select(node, key)
        if not isinstance(value, str) or value in NO_FILES or value.startswith(MLFLOW_RUN):
            continue
        if key == CAPTIONS and Path(value).suffix.lower() not in LISTS:
            continue
        if not lookup.exists(Path(value).expanduser()):
            return f"{key}={value} does not exist: no trial has been started"
    return None
