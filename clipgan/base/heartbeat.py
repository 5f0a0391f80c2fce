"""End a training when one of its processes falls silent: it was stopped, or its host is gone.

The death of a process closes its connections, so the others notice it at once. A stopped process, or a host without
power or network, closes nothing, and the others would wait for it for hours. Therefore each process counts its
heartbeats in the store that all processes share, in a thread: also while it prepares data or measures a snapshot.
"""

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

import torch.distributed as dist

from clipgan.base.children import living_children
from clipgan.base.distributed import planned_rank, planned_size

LIMIT = 600.0  # seconds without a heartbeat, after which a process counts as lost
BEATS = 60  # heartbeats in this time; a pause of the whole training, as by Ctrl-Z, makes nobody miss one
LEFT = 2**40  # added to the count of a process that has ended its training


def child_name(rank: int) -> str:
    """Name the child process with this rank; `watching_processes` finds a silent one by its name."""
    return f"training-{rank}"


@contextmanager
def watching_processes(limit: float = LIMIT) -> Iterator[None]:
    """Send heartbeats, and watch those of the other processes, while the block runs.

    A process that has sent none for `limit` seconds after its first ends the training, with one line that names it: the
    process that started it kills it, and any other process ends itself with status 1.
    """
    if planned_size() == 1:
        yield
        return
    heartbeat = _Heartbeat(planned_rank(), planned_size(), limit)
    threads = [threading.Thread(target=each, daemon=True) for each in (heartbeat.send, heartbeat.watch)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        heartbeat.over.set()
        threads[0].join(limit / BEATS)  # it takes leave, unless the store is gone


class Silence:
    """Find the processes whose counts stand still, from one look at the counts after another."""

    def __init__(self, size: int) -> None:
        self._seen = [0] * size
        self._unchanged = [0] * size  # looks

    def after(self, counts: Sequence[int]) -> list[int]:
        """Return the ranks whose counts have started, have not left, and have not changed for `BEATS` looks."""
        for rank, count in enumerate(counts):
            still = count == self._seen[rank] and 0 < count < LEFT
            self._unchanged[rank] = self._unchanged[rank] + 1 if still else 0
        self._seen = list(counts)
        return [rank for rank, looks in enumerate(self._unchanged) if looks >= BEATS]


class _Heartbeat:
    def __init__(self, rank: int, size: int, limit: float) -> None:
        self.rank, self.size, self.limit = rank, size, limit
        self.over = threading.Event()
        self.counts = [0] * size  # the newest known

    def send(self) -> None:
        """Count this process's heartbeats and read the others' counts; if the store fails, all counts stand still."""
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        self.counts[self.rank] = 1  # from now on, the store must answer
        with suppress(Exception):
            # a connection of its own: on the other one, this process may be waiting for the first one's preparation
            store = dist.TCPStore(address, port, is_master=False, timeout=timedelta(seconds=self.limit))
            while True:
                store.add(_key(self.rank), 1)
                self.counts = [store.add(_key(rank), 0) for rank in range(self.size)]
                if self.over.wait(self.limit / BEATS):
                    break
            store.add(_key(self.rank), LEFT)

    def watch(self) -> None:
        """Look at the counts as often as they should change, until one stands still for too long."""
        silence = Silence(self.size)
        while not self.over.wait(self.limit / BEATS):
            silent = silence.after(self.counts)
            if silent:
                self._end(silent)
                return

    def _end(self, silent: Sequence[int]) -> None:
        unreachable = self.rank in silent  # not even its own count comes back
        lost = [0] if unreachable else silent
        if unreachable or self.rank == min(set(range(self.size)) - set(lost)):  # one process speaks
            print(f"{self._message(lost[0], unreachable)}; the training ends", file=sys.stderr, flush=True)
        names = set(map(child_name, lost))
        children = [child for child in living_children() if child.name in names]
        for child in children:
            child.kill()  # also a stopped one; `further_processes` notices it and ends the training
        if not children:
            os._exit(1)  # the main thread may wait for a GPU or for the lost process, and no exception reaches it

    def _message(self, rank: int, unreachable: bool) -> str:
        where = f", or its store at {os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}," if unreachable else ""
        return (
            f"process {rank} of {self.size}{where} has not answered for {_duration(self.limit)}: it was stopped, or its"
            " host is gone"
        )


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:g} s"


def _key(rank: int) -> str:
    return f"heartbeats of {rank}"
