"""One training over several processes of a host, started here; torchrun starts them itself, also over several hosts."""

import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from clipgan.config import Config
from clipgan.distributed import planned_size
from clipgan.errors import DivergenceError, Interrupted, UserError
from clipgan.progress import console

LOST = 60.0  # seconds that the first process has to notice by itself that another has ended


def spread(config: Config) -> Config:
    """The configuration of a training that torchrun may have started several processes of.

    Raises:
        UserError: `processes` says another number than torchrun, or the batch cannot be shared out.
    """
    if planned_size() == 1:
        return config
    if config.processes not in (1, planned_size()):
        raise UserError(
            f"processes={config.processes} is not allowed: torchrun has started {planned_size()}; leave processes out"
        )
    return replace(config, processes=planned_size())


@contextmanager
def further_processes(config: Config, run_dir: Path) -> Iterator[None]:
    """While the block lasts, processes 1 to N - 1 of a training whose process 0 is this one.

    Args:
        config: the training; with `processes=1`, or where torchrun has started them, nothing is started.
        run_dir: the training's.
    """
    if config.processes == planned_size():
        yield
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": str(config.processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    own = {**common, "RANK": "0", "LOCAL_RANK": "0"}
    context = multiprocessing.get_context("spawn")
    others: list[BaseProcess] = []
    for rank in range(1, config.processes):
        environment = {**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        others.append(context.Process(target=_one_of_them, args=(config, run_dir, environment), daemon=True))
    before = {name: os.environ.get(name) for name in own}
    for other in others:
        other.start()
    over = threading.Event()
    threading.Thread(target=_end_with, args=(others, over), daemon=True).start()
    os.environ.update(own)
    try:
        yield
        for other in others:
            other.join()
    finally:
        over.set()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
        for other in others:
            other.terminate()
            other.join()


def _one_of_them(config: Config, run_dir: Path, environment: dict[str, str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of them; the first one ends the others
    os.environ.update(environment)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    console.quiet = True  # the first one speaks
    from clipgan.training.loop import train

    try:
        train(config, run_dir)
    except Interrupted:
        pass
    except (DivergenceError, UserError):
        sys.exit(1)  # so does the first one, and says it


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _end_with(others: list[BaseProcess], over: threading.Event) -> None:
    """End this process if another has failed and it waits for that one: NCCL may not notice."""
    while not over.is_set():
        wait([other.sentinel for other in others if other.is_alive()], timeout=1.0)
        failed = [number for number, other in enumerate(others, start=1) if other.exitcode]
        if failed and not over.wait(LOST):
            console.print(f"process {failed[0]} of the training has ended, and this one waits for it in vain")
            os._exit(1)
        if failed or all(other.exitcode == 0 for other in others):
            return
