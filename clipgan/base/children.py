"""Run child processes with `multiprocessing`: no child outlives its parent, and no child's death blocks the parent.

`concurrent.futures.ProcessPoolExecutor` may block: if a worker dies while another one is being spawned, the pool does
not terminate the new worker, but waits for it for ever (CPython 3.11, `terminate_broken`).
"""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

PATIENT = 10.0  # seconds that a process has to end
TICK = 1.0  # seconds between two checks that a process lives, in case its pipe does not show it
_asking = threading.Lock()


class ChildDied(Exception):
    """The process of a call ended without an answer, or did not start because another process had died."""


def call_in_processes(
    function: Callable[..., None], calls: Sequence[tuple[Any, ...]], at_once: int
) -> list[Exception | None]:
    """Run a function with each tuple of arguments, each call in its own process; return each call's exception or None.

    When a process dies, the running processes continue, but no further process starts.

    Args:
        function: importable by its name; its arguments and exceptions can be pickled, in some kilobytes.
        calls: the arguments of each call.
        at_once: the largest number of processes at a time.
    """
    context = multiprocessing.get_context("spawn")
    outcomes: list[Exception | None] = [ChildDied() for _ in calls]
    running: dict[Connection, tuple[int, BaseProcess]] = {}
    waiting = list(enumerate(calls))
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                number, arguments = waiting.pop(0)
                reader, writer = context.Pipe(duplex=False)
                process: BaseProcess = context.Process(target=_answer, args=(writer, function, arguments), daemon=True)
                process.start()
                writer.close()  # only the child's end stays open: its death closes the pipe
                running[reader] = (number, process)
            ready = wait(list(running), timeout=TICK)
            for reader, (number, process) in list(running.items()):
                if reader not in ready and exit_status(process) is None:
                    continue
                del running[reader]
                outcomes[number] = outcome = _answered(reader)
                if not ended_within([process], PATIENT):
                    end([process])
                if isinstance(outcome, ChildDied):
                    waiting.clear()
    finally:
        end([process for _, process in running.values()])
    return outcomes


def _answered(reader: Connection) -> Exception | None:
    with reader:
        try:
            return reader.recv() if reader.poll() else ChildDied()
        except (EOFError, OSError):
            return ChildDied()


def _answer(writer: Connection, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent ends its children
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        function(*arguments)
    except Exception as error:
        error.add_note(traceback.format_exc())  # pickling drops the traceback
        writer.send(error)
    else:
        writer.send(None)


def end_with_parent() -> None:
    """Wait until the parent process is gone, and then end this process at once."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def end(processes: Sequence[BaseProcess]) -> None:
    """Ask processes to end, then kill them: one may wait for a GPU or for another process."""
    for process in processes:
        process.terminate()
    if not ended_within(processes, PATIENT):
        for process in processes:
            process.kill()
        ended_within(processes, PATIENT)


def ended_within(processes: Sequence[BaseProcess], seconds: float) -> bool:
    """Whether all processes end within some seconds."""
    deadline = time.monotonic() + seconds
    for process in processes:
        wait([process.sentinel], max(0.0, deadline - time.monotonic()))
    return all(exit_status(process) is not None for process in processes)


def living_children() -> list[BaseProcess]:
    """Like `multiprocessing.active_children`, which asks how children have ended: see `exit_status`."""
    with _asking:
        return multiprocessing.active_children()


def exit_status(process: BaseProcess) -> int | None:
    """Return how a child process has ended, or None while it runs; any thread may ask.

    `Process.exitcode` may be None for an ended process: when another thread asks at the same moment, and for an instant
    after its sentinel has shown the end.
    """
    with _asking:
        if wait([process.sentinel], 0):
            process.join()
        return process.exitcode
