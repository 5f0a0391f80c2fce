"""Find torch-fidelity's Inception weights before the long computations start."""

from pathlib import Path

from clipgan.base import lookup
from clipgan.base.errors import UserError
from clipgan.base.text import why_unreadable

FILE_NAME = "weights-inception-2015-12-05-6726825d.pth"


def find_inception_weights(given: str | None) -> Path:
    """Return the path of the weights file, after a check that it holds only tensors.

    Args:
        given: `metrics.inception_weights`; None: torch hub's cache, where torch-fidelity stores its download.

    Raises:
        UserError: the file is missing, or does not hold this network's state dict.
    """
    import torch

    path = Path(given) if given else Path(torch.hub.get_dir()) / "checkpoints" / FILE_NAME
    if not lookup.is_file(path):
        raise UserError(
            f"metrics.extractor=inception needs torch-fidelity's Inception weights, and {path} "
            f"{lookup.why_no_file(path)}: put {FILE_NAME} (torch-fidelity's release v0.2.0) there, or name it with "
            "metrics.inception_weights=FILE, or choose metrics=fid2k_clip_tiny64"
        )
    try:  # torch-fidelity unpickles the file without a check, so it must hold only tensors
        state = torch.load(path, weights_only=True, mmap=True)
    except Exception as error:
        raise UserError(f"metrics.inception_weights={path} cannot be loaded: {why_unreadable(error)}") from error
    if not isinstance(state, dict) or "Conv2d_1a_3x3.conv.weight" not in state:
        raise UserError(f"metrics.inception_weights={path} holds no weights of torch-fidelity's Inception")
    return path
