"""Several workers at a time: starts them, watches them, replaces those that die, and stops them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from sweeps.base.environment import ORDERS, STORAGE
from sweeps.base.errors import SweepError
from sweeps.base.signals import Stop
from sweeps.display.progress import View
from sweeps.job.task_function import REQUEUE
from sweeps.study.claims import SweepStudy
from sweeps.study.owner import this_process

STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM, REQUEUE)  # exit statuses of a worker that gave its trial back
HYDRAS_HINT = "Set the environment variable HYDRA_FULL_ERROR"  # comes after the message itself
TICK = 0.05  # seconds between two looks at the workers
SHOW = 1.0  # seconds between two looks at the study
MAX_BARREN = 8  # workers in a row that die without having claimed a trial: something is wrong with all of them


@dataclass(frozen=True)
class Orders:
    """What a worker is told by its leader; all else it reads from the same command line."""

    leader: Mapping[str, Any]  # from `owner.this_process`
    parent_run_id: str | None  # MLflow run of the study

    @classmethod
    def received(cls) -> "Orders | None":
        """Those of this process, or None where it is no worker."""
        text = os.environ.get(ORDERS)
        return None if text is None else cls(**json.loads(text))


@dataclass
class _Hand:
    """A running worker process."""

    process: subprocess.Popen[bytes]
    log: Path

    def last_words(self) -> str:
        """The last line that it wrote."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        told = [line.strip() for line in lines if line.strip() and not line.startswith(HYDRAS_HINT)]
        return told[-1] if told else "(it wrote nothing)"


@dataclass
class Leader:
    """Runs a command in several processes, each of which claims trials on its own.

    A worker is this very command once more, with an environment that says so: Hydra's singletons, and what a task
    function imports, are then as in any other run of it.
    """

    study: SweepStudy
    shares: Sequence[Mapping[str, str]]  # one worker's part of the machine each, as environment variables
    parent_run_id: str | None  # MLflow run of the study
    folder: Path  # where the workers' logs go
    view: View
    stop_seconds: float  # seconds that workers have to stop before they are killed
    stop: Stop = field(default_factory=Stop)
    _hands: dict[int, _Hand] = field(default_factory=dict, init=False)  # place -> worker
    _barren: int = field(default=0, init=False)

    def work(self) -> None:
        """Until all workers have found nothing left to do.

        Raises:
            KeyboardInterrupt, SystemExit: this process was stopped; the workers have ended.
            SweepError: workers die before they have claimed a trial.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            for place in range(len(self.shares)):
                self._hire(place)
            self._watch()
        finally:
            self._dismiss()
            self.view.show(self.study.changes())
            self.view.close()

    def _watch(self) -> None:
        shown = 0.0
        while self._hands:
            self.stop.check()
            for place, hand in list(self._hands.items()):
                if hand.process.poll() is not None:
                    self._replace(place, self._hands.pop(place))
            if time.monotonic() - shown > SHOW:
                self.view.show(self.study.changes())
                shown = time.monotonic()
            time.sleep(TICK)

    def _hire(self, place: int) -> None:
        orders = Orders(leader=this_process(), parent_run_id=self.parent_run_id)
        log = self.folder / f"{socket.gethostname()}-{os.getpid()}-{place}.log"
        with log.open("ab") as file:
            self._hands[place] = _Hand(self._start(place, orders, file), log)

    def _start(self, place: int, orders: Orders, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *sys.orig_argv[1:]],
            env={**os.environ, **self.shares[place], STORAGE: self.study.url, ORDERS: json.dumps(vars(orders))},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,  # Ctrl-C on the terminal reaches the leader alone, which stops the workers in order
        )

    def _replace(self, place: int, hand: _Hand) -> None:
        """Deal with the end of a worker; one that died or was stopped gets a successor."""
        status = hand.process.returncode
        if status == 0:
            return
        _kill(hand.process)  # what it has started may have outlived it
        claimed = self.study.abandon(hand.process.pid, None if status in STOPPED else _cause(status, hand))
        self._barren = 0 if claimed is not None or status in STOPPED else self._barren + 1
        if self._barren == MAX_BARREN:
            raise SweepError(
                f"{MAX_BARREN} workers in a row have died before they ran a trial; the last one"
                f" {_cause(status, hand)}; see {hand.log}"
            )
        self._hire(place)

    def _dismiss(self) -> None:
        """Stop the workers that are left, and let their trials wait again; a second signal kills them at once."""
        for hand in self._hands.values():
            hand.process.terminate()
        deadline = time.monotonic() + self.stop_seconds
        try:
            while time.monotonic() < deadline and any(hand.process.poll() is None for hand in self._hands.values()):
                time.sleep(TICK)
        finally:
            for hand in self._hands.values():
                _kill(hand.process)
            for hand in self._hands.values():
                hand.process.wait()
                self.study.abandon(hand.process.pid, None)
            self._hands.clear()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a worker and what it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _cause(status: int, hand: _Hand) -> str:
    """Why a worker died."""
    number = -status if status < 0 else status - 128 if status > 128 else None
    if number is None:
        return f"worker ended with status {status}: {hand.last_words()}"
    name = signal.Signals(number).name if number in list(signal.Signals) else f"signal {number}"
    oom = "; possibly out of memory: the kernel's OOM killer sends it" if number == signal.SIGKILL else ""
    return f"worker killed by {name}{oom}"
