"""NVIDIA's MPS (multi-process service), with which the kernels of several processes run on a GPU at the same time."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

CONTROL = "nvidia-cuda-mps-control"
PATIENCE = 20  # seconds


@contextlib.contextmanager
def service(folder: Path) -> Iterator[dict[str, str]]:
    """Run a service of one's own while the block runs; a GPU's settings stay as they are.

    Args:
        folder: for its pipes and logs; made if missing.

    Yields:
        The environment variables by which a process uses it; none where the driver has no such service.
    """
    names = ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY")
    variables = {name: str(folder.resolve() / name.split("_")[2].lower()) for name in names}
    for place in variables.values():
        Path(place).mkdir(parents=True, exist_ok=True)
    if not _control(["-d"], variables):
        yield {}
        return
    try:
        yield variables
    finally:
        _control([], variables, "quit\n")


def _control(options: list[str], variables: dict[str, str], words: str = "") -> bool:
    try:
        done = subprocess.run(
            [CONTROL, *options], env=os.environ | variables, input=words, text=True, capture_output=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
