"""NVIDIA's MPS (multi-process service), with which the kernels of several processes run on a GPU at the same time."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

CONTROL = "nvidia-cuda-mps-control"
PATIENCE = 20  # seconds
# A first client, for which the daemon starts its server. Without one, every client's CUDA would fail to initialise.
CLIENT = """
import ctypes, sys
cuda, context = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p()
sys.exit(bool(cuda.cuInit(0) or cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0)))
"""


@contextlib.contextmanager
def service() -> Iterator[dict[str, str]]:
    """Run a service of one's own while the block runs; a GPU's settings stay as they are.

    Yields:
        The environment variables by which a process uses it; none where it does not work.
    """
    # a socket's path is short, and the daemon may still write its log
    with tempfile.TemporaryDirectory(prefix="mps-", ignore_cleanup_errors=True) as folder:
        variables = {
            "CUDA_MPS_PIPE_DIRECTORY": str(Path(folder) / "pipe"), "CUDA_MPS_LOG_DIRECTORY": str(Path(folder) / "log")
        }  # fmt: skip
        for place in variables.values():
            Path(place).mkdir()
        works = _succeeds([CONTROL, "-d"], variables) and _succeeds([sys.executable, "-c", CLIENT], variables)
        try:
            yield variables if works else {}
        finally:
            _succeeds([CONTROL], variables, "quit\n")


def _succeeds(command: list[str], variables: dict[str, str], words: str = "") -> bool:
    try:
        done = subprocess.run(
            command, env=os.environ | variables, input=words, text=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=PATIENCE, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
