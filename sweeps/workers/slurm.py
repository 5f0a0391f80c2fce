"""A trial as a Slurm job: submit it, wait for its result, and stop it with the sweep.

hydra-submitit-launcher runs the job on its node. On this side, it would take a submission that Slurm refuses for a
failure of the trial, wait for ever for a job that has died where Slurm keeps no accounting, and leave its jobs to
themselves when the sweep stops.
"""

import contextlib
import io
import math
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from sweeps.base.environment import GRACE
from sweeps.base.errors import NoJobError
from sweeps.base.settings import Settings
from sweeps.base.signals import held
from sweeps.job.task_function import REQUEUE, Preempted
from sweeps.points.trial_record import NOT_BEGUN

CLUSTER = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
OF_EXECUTOR = ("submitit_folder", "max_num_timeout")  # settings of the launcher that its executor is made with
GENERAL = ("timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes", "name",
           "stderr_to_stdout")  # submitit's own names; it wants `slurm_` before those of the others  # fmt: skip
NOT_SUBMITTED = (RuntimeError, OSError, subprocess.CalledProcessError)  # what submitit raises when Slurm takes no job
FOR_NOW = re.compile(  # in Slurm's words; "Requested node configuration is not available" is final
    r"unable to (contact|establish)|timed out|temporarily|connection refused|standby|zero bytes|submitjob"
    r"|not available \(|not available now",
    re.IGNORECASE,
)
AGAIN = 15.0  # seconds between two submissions while Slurm takes none
POLL = 0.5  # seconds between two looks for a job's result
LOOK = 10.0  # seconds between two looks into Slurm's queue
ENDED = 2  # looks in a row that find a job no longer in the queue: a file of its node takes a while to be seen here

Tell = Callable[[str], None]  # shows why a trial waits; an empty text: it runs now


def is_slurms(launcher: Launcher) -> bool:
    """Whether a launcher hands jobs to Slurm."""
    return f"{type(launcher).__module__}.{type(launcher).__qualname__}" == CLUSTER


def executor_of(launcher: Launcher) -> Any:
    """Make submitit's executor with the settings of Slurm's launcher."""
    import submitit

    params: dict[str, Any] = launcher.params  # type: ignore[attr-defined]  # of hydra-submitit-launcher
    executor = submitit.AutoExecutor(
        cluster="slurm", folder=params["submitit_folder"], slurm_max_num_timeout=params["max_num_timeout"]
    )
    named = {name: value for name, value in params.items() if name not in OF_EXECUTOR}
    executor.update_parameters(**{n if n in GENERAL else f"slurm_{n}": value for n, value in named.items()})
    return executor


def check_times(launcher: Launcher) -> None:
    """Refuse jobs that Slurm would tell to stop as soon as they begin.

    Raises:
        NoJobError: the time of a job is not longer than that before its end at which it is told.
    """
    params: dict[str, Any] = launcher.params  # type: ignore[attr-defined]  # of hydra-submitit-launcher
    minutes, before = params["timeout_min"], params.get("signal_delay_s") or 0
    if before >= 60 * minutes:
        raise NoJobError(
            f"hydra.launcher.timeout_min={minutes} is not allowed with hydra.launcher.signal_delay_s={before}: a job"
            " stops so many seconds before its end; take a longer time or a shorter delay"
        )


def not_accepted(error: BaseException) -> NoJobError:
    """The message for jobs that Slurm refuses."""
    lines = [line.removeprefix("sbatch: error: ").strip() for line in str(error).splitlines() if line.strip()]
    return NoJobError(f"Slurm does not accept the jobs: {'; '.join(dict.fromkeys(lines))}")


@dataclass
class TrialJob:
    """What the Slurm job runs: the launcher with one Hydra job. submitit pickles it."""

    launcher: Launcher
    arguments: Sequence[Any]
    grace: int  # seconds without a heartbeat of the sweep after which the job stops

    def __call__(self) -> JobReturn:
        """Run the Hydra job. Slurm's signals let it stop with a checkpoint; its trial then waits."""
        from submitit.core.job_environment import JobEnvironment

        os.environ[GRACE] = str(self.grace)
        before_end = signal.Signals[f"SIG{JobEnvironment.USR_SIG}"]
        seen = list[int]()

        def stop(number: int, _frame: Any) -> None:
            seen.append(number)
            if len(seen) == 1:  # Slurm sends SIGTERM several times, also while the job ends
                raise SystemExit(REQUEUE)

        for number in (signal.SIGTERM, before_end):  # a training catches them first, and sends them on at its end
            signal.signal(number, stop)
        try:
            returned: JobReturn = self.launcher(*self.arguments)  # type: ignore[operator]
        except SystemExit as end:
            if end.code != REQUEUE:
                raise
            returned = JobReturn(status=JobStatus.FAILED, _return_value=Preempted())
        seen.append(0)  # what comes from now on would keep the result from being written
        if before_end in seen and isinstance(returned._return_value, Preempted):
            minutes = self.launcher.params["timeout_min"]  # type: ignore[attr-defined]
            returned._return_value = Preempted(f"the time of its Slurm job ends (hydra.launcher.timeout_min={minutes})")
        return returned


def launch(launcher: Launcher, overrides: Sequence[str], number: int, settings: Settings, tell: Tell) -> JobReturn:
    """Run a trial as a Slurm job, and return what its Hydra job has returned.

    Args:
        launcher: Slurm's.
        overrides: of the Hydra job.
        number: of the Hydra job.
        settings: of the sweep.
        tell: is called with the reason why the trial waits, and with an empty text when it runs.

    Raises:
        NoJobError: Slurm refuses the job, and would refuse it again.
        RuntimeError: the job has ended without a result.
        KeyboardInterrupt, SystemExit: the sweep is stopped; the job has been, too.
    """
    check_times(launcher)
    arguments = (list(overrides), "hydra.sweep.dir", number, f"job_id_for_{number}", Singleton.get_state())
    job = _submitted(launcher, TrialJob(launcher, arguments, settings.grace), tell)
    try:
        return _result(job, tell)
    except (KeyboardInterrupt, SystemExit):
        _stop(job, settings.stop_seconds, tell)
        if _has_result(job) and not isinstance((returned := _returned(job))._return_value, Preempted):
            return returned  # it had ended before the stop could reach it
        raise


def _submitted(launcher: Launcher, run: TrialJob, tell: Tell) -> Any:
    """Submit a job; while Slurm takes none for now, try again."""
    said = ""
    while True:
        try:
            executor = executor_of(launcher)
            # the sweep follows a job by another one if it must; the same job, run by Slurm again, would be a second one
            own = {**(executor.parameters.get("additional_parameters") or {}), "no_requeue": True}
            executor.update_parameters(slurm_additional_parameters=own)
            with held(), contextlib.redirect_stderr(io.StringIO()):  # submitit prints what it raises
                job = executor.submit(run)
            if said:
                tell("")
            return job
        except NOT_SUBMITTED as error:
            refusal = not_accepted(error)
            if not FOR_NOW.search(str(error)):
                raise refusal from error
        if str(refusal) != said:
            said = str(refusal)
            tell(f"{said}; the sweep asks again every {AGAIN:.0f} s")
        time.sleep(AGAIN)


def _result(job: Any, tell: Tell) -> JobReturn:
    """Wait for a job's result."""
    n_looks, n_gone, said, looked = 0, 0, NOT_BEGUN, -math.inf
    tell(NOT_BEGUN)
    while not _has_result(job):
        if time.monotonic() - looked > LOOK:
            state, reason = _in_queue(job.job_id)
            looked = time.monotonic()
            n_gone = n_gone + 1 if state == "" else 0
            if n_gone >= ENDED and not _has_result(job):
                return _lost(job, tell)
            waits = said if state in (None, "") else ""
            if state == "PENDING":  # most jobs begin before the second look
                waits = f"Slurm job {job.job_id} waits: {reason}" if n_looks else NOT_BEGUN
            n_looks += 1
            if waits != said:
                said = waits
                tell(waits)
        time.sleep(POLL)
    return _returned(job)


def _returned(job: Any) -> JobReturn:
    """What the first of the job's tasks has returned."""
    first, *_ = job.results()
    return first


def _lost(job: Any, tell: Tell) -> JobReturn:
    """Handle a job that has ended without a result: one that somebody has cancelled may run later."""
    end = _end_of(job.job_id)
    tell(f"Slurm job {job.job_id} has ended without a result; its output, if it has begun, is in {job.paths.folder}")
    if "CANCELLED" in end:
        return JobReturn(status=JobStatus.FAILED, _return_value=Preempted("its Slurm job was cancelled"))
    # without the id: the sweep compares the reasons of trials
    raise RuntimeError(f"its Slurm job has ended without a result: {end}")


def _has_result(job: Any) -> bool:
    path = job.paths.result_pickle
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:  # which also looks anew on an NFS
        return any(entry.name == path.name for entry in entries)
    return False


def _in_queue(job_id: str) -> tuple[str | None, str]:
    """A job's state in Slurm's queue and the reason why it waits; an empty state: it is not there; None: no answer."""
    command = ["squeue", "--noheader", f"--jobs={job_id}", "--format=%T %r"]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode == 0 or "Invalid job id" in done.stderr:
            state, _, reason = done.stdout.strip().partition(" ")
            return state, reason
    return None, ""


def _end_of(job_id: str) -> str:
    """How a job has ended, as far as Slurm still knows."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        command = ["scontrol", "show", "job", job_id]
        shown = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout
        return ", ".join(re.findall(r"(?:JobState|Reason|ExitCode)=(?!None)\S+", shown)) or "Slurm no longer knows it"
    return "Slurm does not answer"


def _stop(job: Any, seconds: float, tell: Tell) -> None:
    """Let a job stop with a checkpoint, and wait for it; one that has not begun is taken out of the queue."""
    deadline, cancelled = time.monotonic() + seconds, False
    while time.monotonic() < deadline and not _has_result(job):
        if not cancelled:
            cancelled = _cancel(job.job_id)
        elif _in_queue(job.job_id)[0] == "":
            return
        time.sleep(2 * POLL)
    if not cancelled and not _has_result(job):
        tell(f"Slurm does not answer: to end job {job.job_id}, scancel {job.job_id}")


def _cancel(job_id: str) -> bool:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(["scancel", job_id], capture_output=True, check=False, timeout=10).returncode == 0
    return False
