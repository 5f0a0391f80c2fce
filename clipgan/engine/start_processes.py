"""Start the processes of a training on one host. (torchrun starts its processes itself, also on several hosts.)"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from clipgan.base import out_of_memory
from clipgan.base.children import PATIENT, end, end_with_parent, ended_within, exit_status
from clipgan.base.console import console
from clipgan.base.distributed import hosted_store, planned_size
from clipgan.base.errors import DivergenceError, Interrupted, MemoryRanOutError, ProcessError, UserError
from clipgan.base.heartbeat import child_name
from clipgan.config import Config

Train = Callable[[Config, Path], Any]

BELOW_MAIN = 'if __name__ == "__main__":'
LOST = 60.0  # seconds in which the first process must notice by itself that another process has failed


def spread(config: Config) -> Config:
    """Set the configuration's number of processes to torchrun's.

    Raises:
        UserError: `processes` and torchrun disagree, or the batch does not split into equal parts; or this is a further
            process of a training, which imports the script that has called for it.
    """
    if planned_size() == 1:
        return config
    if multiprocessing.current_process().name in map(child_name, range(1, planned_size())):
        raise UserError(f"each process of a training imports this script: put the call of train below {BELOW_MAIN}")
    if config.processes not in (1, planned_size()):
        raise UserError(
            f"processes={config.processes} is not allowed: torchrun has started {planned_size()}; leave processes out"
        )
    return replace(config, processes=planned_size())


@contextmanager
def further_processes(config: Config, run_dir: Path, train: Train) -> Iterator[None]:
    """Run processes 1 to N - 1 of a training while the block runs; this process is process 0.

    Args:
        config: the training; with `processes=1`, or under torchrun, this function starts nothing.
        run_dir: the training's run directory.
        train: each process calls it with both; a module's function, so that another process can import it.

    Raises:
        ProcessError: another process ended before it could start, or the block failed because one had ended.
    """
    if config.processes == planned_size():
        yield
        return
    with hosted_store() as port:
        common = {
            "WORLD_SIZE": str(config.processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
            "TORCHELASTIC_USE_AGENT_STORE": "False",  # a surrounding torchrun has its own store
        }  # fmt: skip
        context = multiprocessing.get_context("spawn")
        pipes = [context.Pipe(duplex=False) for _ in range(1, config.processes)]
        others: list[BaseProcess] = [
            context.Process(
                target=_one_of_them,
                name=child_name(rank),
                args=(config, run_dir, train, common | _numbered(rank), begun),
            )
            for rank, (_, begun) in enumerate(pipes, start=1)
        ]
        over = threading.Event()
        with _environment(common | _numbered(0)):
            try:
                for other, (_, begun) in zip(others, pipes, strict=True):
                    other.start()
                    begun.close()  # only the child's end stays open: its death closes the pipe
                _await_begin([reader for reader, _ in pipes], others)
                threading.Thread(target=_end_with, args=(others, over), daemon=True).start()
                with _first_failure_named(others):
                    yield
                    ended_within(others, PATIENT)
            finally:
                over.set()
                end([other for other in others if other.pid is not None])


def _await_begin(readers: list[Connection], others: list[BaseProcess]) -> None:
    """Wait until the other processes have imported what they need, which includes the script that called for them."""
    for rank, (reader, other) in enumerate(zip(readers, others, strict=True), start=1):
        try:
            with reader:
                reader.recv()
        except (EOFError, OSError):
            ended_within([other], PATIENT)
            raise ProcessError(
                f"process {rank} of {len(others) + 1} has ended with status {exit_status(other)} before its work"
                " began; its own message is above, if it had any; in a script, the call of train must stand below"
                f" {BELOW_MAIN}"
            ) from None


@contextmanager
def _first_failure_named(others: list[BaseProcess]) -> Iterator[None]:
    """Name the process that failed first, where the block fails because another process has ended."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ProcessError):
            wait([other.sentinel for other in others], timeout=PATIENT)  # the one that broke the connection
        failed = [(rank, status) for rank, status in enumerate(map(exit_status, others), start=1) if status]
        if failed and (isinstance(error, ProcessError) or not isinstance(error, UserError | DivergenceError)):
            rank, status = min(failed, key=lambda each: each[1] > 0)  # killed; the others lost it, and failed
            raise ProcessError(
                f"process {rank} of {len(others) + 1} has ended with status {status}; its own message is"
                " above, if it had any"
            ) from error
        raise


def _numbered(rank: int) -> dict[str, str]:
    return {"RANK": str(rank), "LOCAL_RANK": str(rank)}


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _one_of_them(config: Config, run_dir: Path, train: Train, environment: dict[str, str], begun: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others
    os.environ.update(environment)
    threading.Thread(target=end_with_parent, daemon=True).start()
    with begun:
        begun.send(None)
    console.quiet = True  # only the first process prints
    try:
        with out_of_memory.told(out_of_memory.TRAINING):
            train(config, run_dir)
    except Interrupted:
        pass
    except MemoryRanOutError as error:
        sys.exit(str(error))  # memory may run out in one process alone
    except (DivergenceError, UserError):
        sys.exit(1)  # the first process fails too, and prints the reason


def _end_with(others: list[BaseProcess], over: threading.Event) -> None:
    """End this process if it waits for a failed process: NCCL may not notice the failure."""
    while not over.is_set():
        wait([other.sentinel for other in others if exit_status(other) is None], timeout=1.0)
        statuses = [exit_status(other) for other in others]
        failed = [number for number, status in enumerate(statuses, start=1) if status]
        if failed and not over.wait(LOST):
            console.print(f"process {failed[0]} of the training has failed, and this one has not ended in {LOST:.0f} s")
            os._exit(1)
        if failed or not any(status is None for status in statuses):
            return
