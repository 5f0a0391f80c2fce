"""A trial as a Slurm job: submit it, wait for its result, and stop it with the sweep.

hydra-submitit-launcher runs the job on its node. On this side, it would take a submission that Slurm refuses for a
failure of the trial, wait for ever for a job that has died where Slurm keeps no accounting, and leave its jobs to
themselves when the sweep stops.
"""

import contextlib
import io
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
from sweeps.base.errors import SweepError
from sweeps.base.settings import Settings
from sweeps.job.task_function import REQUEUE, Preempted

CLUSTER = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
OF_EXECUTOR = ("submitit_folder", "max_num_timeout")  # settings of the launcher that its executor is made with
GENERAL = ("timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes", "name",
           "stderr_to_stdout")  # submitit's own names; it wants `slurm_` before those of the others  # fmt: skip
REFUSED = (RuntimeError, OSError, subprocess.CalledProcessError)  # what submitit raises when Slurm takes no job
FOR_NOW = re.compile("unable to contact|timed out|temporarily|connection refused|maxsubmit", re.IGNORECASE)
AGAIN = 15.0  # seconds between two submissions while Slurm takes none
POLL = 0.5  # seconds between two looks for a job's result
LOOK = 10.0  # seconds between two looks into Slurm's queue
PATIENCE = 60.0  # seconds that a job waits before a line says why
ENDED = 2  # looks in a row that find a job no longer in the queue: a file of its node takes a while to be seen here

Say = Callable[[str], None]


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


def not_accepted(error: BaseException) -> SweepError:
    """The message for jobs that Slurm refuses."""
    lines = [line.removeprefix("sbatch: error: ").strip() for line in str(error).splitlines() if line.strip()]
    return SweepError(f"Slurm does not accept the jobs: {'; '.join(dict.fromkeys(lines))}")


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


def launch(launcher: Launcher, overrides: Sequence[str], number: int, settings: Settings, say: Say) -> JobReturn:
    """Run a trial as a Slurm job, and return what its Hydra job has returned.

    Args:
        launcher: Slurm's.
        overrides: of the Hydra job.
        number: of the Hydra job.
        settings: of the sweep.
        say: shows a line.

    Raises:
        SweepError: Slurm refuses the job, and would refuse it again.
        RuntimeError: the job has ended without a result.
        KeyboardInterrupt, SystemExit: the sweep is stopped; the job has been, too.
    """
    arguments = (list(overrides), "hydra.sweep.dir", number, f"job_id_for_{number}", Singleton.get_state())
    job = _submitted(launcher, TrialJob(launcher, arguments, settings.grace), say)
    try:
        return _result(job, say)
    except (KeyboardInterrupt, SystemExit):
        _stop(job, settings.stop_seconds)
        raise


def _submitted(launcher: Launcher, run: TrialJob, say: Say) -> Any:
    """Submit a job; while Slurm takes none for now, try again."""
    said = ""
    while True:
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # submitit prints what it raises
                return executor_of(launcher).submit(run)
        except REFUSED as error:
            refusal = not_accepted(error)
            if not FOR_NOW.search(str(error)):
                raise refusal from error
        if str(refusal) != said:
            said = str(refusal)
            say(f"{said}; the sweep asks again every {AGAIN:.0f} s")
        time.sleep(AGAIN)


def _result(job: Any, say: Say) -> JobReturn:
    """Wait for a job's result."""
    begun, n_gone, said, looked = time.monotonic(), 0, "", 0.0
    while not _has_result(job):
        if time.monotonic() - looked > LOOK:
            state, reason = _in_queue(job.job_id)
            looked = time.monotonic()
            n_gone = n_gone + 1 if state == "" else 0
            if n_gone >= ENDED and not _has_result(job):
                raise RuntimeError(f"Slurm job {job.job_id} has ended without a result: {_end_of(job)}")
            if state == "PENDING" and looked - begun > PATIENCE and reason != said:
                said = reason
                say(f"Slurm job {job.job_id} waits: {reason}")
        time.sleep(POLL)
    returned, *_ = job.results()  # one for each of the job's tasks
    return returned


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


def _end_of(job: Any) -> str:
    """How a job has ended, as far as Slurm still knows, and where its output is."""
    known = ""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        command = ["scontrol", "show", "job", job.job_id]
        shown = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout
        known = ", ".join(re.findall(r"(?:JobState|Reason|ExitCode)=(?!None)\S+", shown))
    return f"{known or 'Slurm no longer knows it'}; its output is in {job.paths.folder}"


def _stop(job: Any, seconds: float) -> None:
    """Let a job stop with a checkpoint, and wait for it; one that has not begun is taken out of the queue."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(["scancel", job.job_id], capture_output=True, check=False, timeout=seconds)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not _has_result(job) and _in_queue(job.job_id)[0] != "":
        time.sleep(POLL)
