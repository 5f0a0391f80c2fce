"""End the processes that jobs have left behind: they would outlive the sweep, and hold what reads its output."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

WAIT = 3.0  # seconds from SIGTERM to SIGKILL
OWN_END = ("resource_tracker", "loky")  # in the command lines of Python's and joblib's helpers, which end by themselves


@contextmanager
def ending_children() -> Iterator[None]:
    """End the children, and theirs, that this process has started while the block ran."""
    before = set(psutil.Process().children(recursive=True))
    try:
        yield
    finally:
        left = [child for child in psutil.Process().children(recursive=True) if child not in before and _is_left(child)]
        for child in left:
            with suppress(psutil.NoSuchProcess):
                child.terminate()
        for child in psutil.wait_procs(left, timeout=WAIT)[1]:
            with suppress(psutil.NoSuchProcess):
                child.kill()


def _is_left(child: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return not any(name in word for word in child.cmdline() for name in OWN_END)
    return False
