"""The leader of several workers: it starts them, watches them, replaces dead ones, and stops them."""

import glob
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from omegaconf import DictConfig

from sweeps.base.environment import ORDERS, STORAGE, STUDY
from sweeps.base.errors import SweepError
from sweeps.base.signals import Stop, held
from sweeps.display.progress import View
from sweeps.job.task_function import REFUSED, REQUEUE
from sweeps.points.trial_record import TrialRecord
from sweeps.study.claims import SweepStudy
from sweeps.study.owner import host_tag, this_process
from sweeps.workers.callbacks import own_arguments, removed_callbacks
from sweeps.workers.gpu_sharing import GpuSharing
from sweeps.workers.time_limits import TimeLimits

LATER = {  # exit statuses of a worker whose trial is to run again later
    REQUEUE: "preempted",
    **{128 + number: f"stopped by {number.name}" for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)},
}
HYDRAS_HINT = "Set the environment variable HYDRA_FULL_ERROR"  # Hydra prints it after the message
POLL = 0.05  # seconds between two checks of the workers
SHOW = 1.0  # seconds between two reads of the study
MAX_FRUITLESS = 8  # if so many workers in a row die before they claim a trial, no further one starts in that place


@dataclass(frozen=True)
class Orders:
    """A leader's data for its worker; the worker reads everything else from the same command line."""

    leader: Mapping[str, Any]  # from `owner.this_process`
    parent_run_id: str | None  # MLflow run of the study
    as_axes: Sequence[str]  # see `Request`
    without_callbacks: Sequence[str]  # overrides that the leader has added to the command line

    @classmethod
    def received(cls) -> "Orders | None":
        """Read the orders of this process; None if it is not a worker."""
        text = os.environ.get(ORDERS)
        return None if text is None else cls(**json.loads(text))


@dataclass
class WorkerProcess:
    """A running worker."""

    process: subprocess.Popen[bytes]
    log: Path
    overdue: int | None = None  # the trial that has run too long, for which the worker was told to stop
    killed_at: float = 0.0  # monotonic time at which the worker is killed if it still runs this trial

    def has_ended(self) -> bool:
        """Whether the process has ended.

        A signal's exception inside of `poll` would leave its lock taken: each later wait would then last for ever.
        """
        with held():
            return self.process.poll() is not None

    def ask_to_stop(self) -> None:
        """Send SIGTERM, unless the process has ended."""
        with held():  # see `has_ended`
            self.process.terminate()

    def kill(self) -> None:
        """Kill the worker and the processes that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def last_line(self) -> str:
        """Return the last line of its output that says something."""
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines()]
        told = [line for line in lines if line and not line.startswith(HYDRAS_HINT)]
        return told[-1] if told else "(it wrote nothing)"

    def cause_of_death(self) -> str:
        """Say why the worker ended: the signal, or its exit status and its last line of output."""
        status = self.process.returncode
        number = -status if status < 0 else status - 128 if status > 128 else None
        if number is None:
            if status == 0:
                return "the job has ended its worker's process with status 0, which gives no result"
            return f"worker ended with status {status}: {self.last_line()}"
        name = signal.Signals(number).name if number in list(signal.Signals) else f"signal {number}"
        oom = "; possibly out of memory: the kernel's OOM killer sends it" if number == signal.SIGKILL else ""
        return f"worker killed by {name}{oom}"


@dataclass
class Leader:
    """Runs a command in several processes, each of which claims trials on its own.

    A worker runs the leader's own command line; an environment variable makes it a worker. So Hydra's singletons and
    the imports of the task function are the same as in any other run of the command.
    """

    study: SweepStudy
    config: DictConfig  # of the sweep
    shares: list[dict[str, str]]  # one worker's part of the machine each, as environment variables
    limits: TimeLimits
    sharing: GpuSharing | None  # adds workers if the GPUs have room for more
    as_axes: Sequence[str]  # see `Request`
    parent_run_id: str | None  # MLflow run of the study
    folder: Path  # where the workers' logs go
    view: View
    say: Callable[[str], None]  # shows one line
    stop_seconds: float  # seconds that workers have to stop before they are killed
    stop: Stop = field(default_factory=Stop)
    _workers: dict[int, WorkerProcess] = field(default_factory=dict, init=False)  # place -> worker
    _fruitless: int = field(default=0, init=False)  # workers in a row that died without having claimed a trial

    def work(self) -> bool:
        """Run until no worker finds more work, and return True; False if the command's time is over before.

        Raises:
            KeyboardInterrupt, SystemExit: a signal stopped this process; the workers have ended.
            SweepError: workers die before they have claimed a trial, and none runs one.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_old_logs()
            for place in range(len(self.shares)):
                self._start(place)
            return self._watch()
        finally:
            try:
                self._stop_workers()
                changed = self.study.changes()
                with suppress(OSError):  # the terminal may have gone
                    self.view.show(changed)
            finally:  # also where the study is gone: a table would cover the message
                with suppress(OSError):
                    self.view.close()

    def _remove_old_logs(self) -> None:
        """Remove the logs of this host's earlier commands that have ended."""
        for log in self.folder.glob(f"{glob.escape(host_tag())}-*-*.log"):
            pid = log.stem.split("-")[-2]
            if pid.isdecimal() and not psutil.pid_exists(int(pid)):
                log.unlink(missing_ok=True)

    def _start(self, place: int) -> None:
        orders = Orders(this_process(), self.parent_run_id, self.as_axes, removed_callbacks(self.config))
        told = {STORAGE: self.study.url, STUDY: self.study.base_name, ORDERS: json.dumps(vars(orders))}
        log = self.folder / f"{host_tag()}-{os.getpid()}-{place}.log"
        with held(), log.open("ab") as file:  # a signal in between would leave a worker that this process does not know
            process = subprocess.Popen(
                [sys.executable, *own_arguments(self.config)],
                env={**os.environ, **self.shares[place], **told},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C on the terminal reaches only the leader, which then stops the workers
            )
            self._workers[place] = WorkerProcess(process, log)

    def _watch(self) -> bool:
        shown = 0.0
        while self._workers:
            self.stop.check()
            if self.limits.is_over(time.monotonic()):
                return False
            for place, worker in list(self._workers.items()):
                if worker.has_ended():
                    self._replace(place, self._workers.pop(place))
            if time.monotonic() - shown > SHOW:
                self._show()
                shown = time.monotonic()
            time.sleep(POLL)
        return True

    def _show(self) -> None:
        """Show what has changed, stop trials that take too long, and start the workers for which GPUs have room."""
        changed = self.study.changes()
        with held():  # Ctrl-C in the middle of a drawing would leave a part of the table behind
            self.view.show(changed)
        self._stop_overdue(record for record in changed if record.state == "RUNNING")
        if self.sharing is not None:
            running = [worker.process.pid for worker in self._workers.values()]
            for share in self.sharing.further(changed, running):
                self.shares.append(share)
                self._start(len(self.shares) - 1)

    def _stop_overdue(self, running: Iterable[TrialRecord]) -> None:
        """Let each worker stop whose trial has run too long, and kill it if it does not stop in time."""
        now, me = time.monotonic(), this_process()
        workers = {worker.process.pid: worker for worker in self._workers.values()}
        own = [record for record in running if record.owner.get("leader") == me]
        for record in self.limits.overdue(own, now):
            worker = workers.get(record.owner["pid"])
            if worker is None:  # it has just ended
                continue
            if worker.overdue != record.number:
                worker.overdue, worker.killed_at = record.number, now + self.stop_seconds
                worker.ask_to_stop()
            elif now > worker.killed_at:
                worker.kill()

    def _replace(self, place: int, worker: WorkerProcess) -> None:
        """Handle the end of a worker; start another one if it died or was stopped."""
        status = worker.process.returncode
        worker.kill()  # its child processes may still run
        cause = LATER.get(status) or worker.cause_of_death()
        if worker.overdue is None:
            claimed = self.study.abandon(worker.process.pid, cause, later=status in LATER)
        else:
            claimed = self.study.abandon(worker.process.pid, self.limits.reason, overdue=worker.overdue)
        if status == 0 and claimed is None:
            return
        if status == REFUSED:
            raise SweepError(worker.last_line())
        self._fruitless = 0 if claimed is not None or status in LATER else self._fruitless + 1
        if self._fruitless < MAX_FRUITLESS:
            self._start(place)
            return
        died = (
            f"{self._fruitless} workers in a row have died before they ran a trial; the last one {cause};"
            f" see {worker.log}"
        )
        if not self._run_trials():
            raise SweepError(died)
        self.say(f"{died}; the sweep goes on with fewer workers")  # as where the database takes no more connections

    def _run_trials(self) -> bool:
        """Whether a worker of this leader runs a trial, which the end of the sweep would stop."""
        pids, me = {worker.process.pid for worker in self._workers.values()}, this_process()
        owners = [record.latest.owner for record in self.study.records() if record.latest.state == "RUNNING"]
        return any(owner.get("pid") in pids and owner["leader"] == me for owner in owners)

    def _stop_workers(self) -> None:
        """Stop the remaining workers and requeue their trials; a second signal kills them at once."""
        deadline = time.monotonic() + self.stop_seconds
        try:
            for worker in self._workers.values():
                worker.ask_to_stop()
            while time.monotonic() < deadline and not all(w.has_ended() for w in self._workers.values()):
                time.sleep(POLL)
        finally:
            for worker in self._workers.values():
                worker.kill()
            for worker in self._workers.values():
                while not worker.has_ended():
                    time.sleep(POLL)
                self.study.abandon(worker.process.pid, None)
            self._workers.clear()
