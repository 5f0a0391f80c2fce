"""`hydra.sweeper.detach=true`: Slurm jobs run the study without the process that has submitted them.

Each job runs the sweep's own command, as a further host of the study would: as a leader with one worker, which claims
trials from the queue. An environment variable tells the command so.
"""

import copy
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict, read_write
from rich.console import Console

from clipgan.base.secrets import without_passwords
from clipgan.base.text import counted
from sweeps.base.environment import DETACHED, STUDY
from sweeps.base.errors import SweepError
from sweeps.base.settings import Settings
from sweeps.command.next_steps import report_command, show_command
from sweeps.display.summary import print_steps
from sweeps.study.claims import SweepStudy
from sweeps.study.storage import sqlite_file
from sweeps.study.stored_study import SLURM_JOBS
from sweeps.workers.callbacks import own_arguments, without_callbacks
from sweeps.workers.slurm import CLUSTER, NOT_SUBMITTED, check_times, executor_of, not_accepted

JOBS_BEGUN = "jobs_begun"  # note of the study, see `jobs_begun`
STOPPED = (128 + signal.SIGTERM, -signal.SIGTERM)  # exit statuses of a command that SIGTERM has stopped
UNTIL_KILLED = 600  # seconds that Slurm may take after SIGTERM: it requeues no preempted job that has ended before


def is_detached() -> bool:
    """Whether this process, or its leader, was started by a job of a detached sweep."""
    return DETACHED in os.environ


def launcher_here(hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> Launcher:
    """Make the launcher of a detached sweep's process: Hydra's own, though the command line names Slurm's.

    The sweep's configuration still names Slurm's, as those of its jobs do: Hydra 1.4 refuses a job with another one.
    """
    local = copy.deepcopy(config)
    with read_write(local.hydra), open_dict(local.hydra):
        local.hydra.launcher = ConfigStore.instance().load("hydra/launcher/basic.yaml").node
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=hydra_context, task_function=task_function, config=local
    )
    launcher.setup(hydra_context=hydra_context, task_function=task_function, config=config)
    return launcher


def check_detach(settings: Settings, config: DictConfig) -> None:
    """Check a command that asks for a detached sweep, before it touches a study.

    Raises:
        SweepError: the launcher is not Slurm's, the number of jobs is missing, or the command holds a password.
    """
    chosen = config.hydra.runtime.choices.get("hydra/launcher")
    if config.hydra.launcher.get("_target_") != CLUSTER:
        raise SweepError(
            f"hydra.sweeper.detach=true is not allowed with hydra/launcher={chosen}: it hands the sweep to a cluster;"
            " choose hydra/launcher=submitit_slurm"
        )
    if settings.workers is None:
        raise SweepError("hydra.sweeper.detach=true needs hydra.sweeper.workers=N, the number of Slurm jobs")
    if any(without_passwords(argument) != argument for argument in own_arguments(config)):
        raise SweepError(
            "hydra.sweeper.detach=true is not allowed with a password on the command line, which is written to a file"
            " for Slurm: give PostgreSQL's in ~/.pgpass or PGPASSWORD, and that of MLflow in the environment"
        )


@dataclass
class DetachedLeader:
    """What a Slurm job runs: the sweep's command. submitit pickles it."""

    command: Sequence[str]
    environment: Mapping[str, str]
    _pid: int | None = field(default=None, init=False)

    def __call__(self) -> None:
        """Run the command, and end with its status."""
        with _blocking_requeue_signal():
            process = subprocess.Popen(self.command, env={**os.environ, **self.environment})
            self._pid = process.pid
        status = process.wait()
        self._pid = None
        if status in STOPPED:
            time.sleep(UNTIL_KILLED)
        if status:
            sys.exit(status if status > 0 else 128 - status)

    def checkpoint(self) -> Any:
        """Called by submitit before a preemption or the time limit: stop the command, whose trial then waits again.

        Returns:
            What submitit runs when it has requeued the job.
        """
        from submitit.helpers import DelayedSubmission

        if self._pid is not None:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._pid, signal.SIGTERM)
                os.waitpid(self._pid, 0)  # Popen.wait, which this call interrupts, holds its lock
        return DelayedSubmission(DetachedLeader(self.command, self.environment))


@contextmanager
def _blocking_requeue_signal() -> Iterator[None]:
    """Block the signal that Slurm sends to a job's processes before its end; what is started here never gets it."""
    from submitit.core.job_environment import JobEnvironment

    number = signal.Signals[f"SIG{JobEnvironment.USR_SIG}"]
    signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])  # a signal that came meanwhile is delivered now


def submit(launcher: Launcher, config: DictConfig, n_jobs: int, study: SweepStudy) -> tuple[str, str]:
    """Submit the jobs of a detached sweep, as one array, and note them with the study.

    Args:
        launcher: Slurm's, with the user's settings.
        config: of the sweep.
        n_jobs: number of jobs.
        study: which the jobs run.

    Returns:
        The id of the array, and the folder of its logs.

    Raises:
        SweepError: Slurm does not accept the jobs.
    """
    removed = without_callbacks(config)
    told = {DETACHED: json.dumps(removed), STUDY: study.base_name}
    leader = DetachedLeader([sys.executable, *own_arguments(config)], told)
    study.set_attribute(JOBS_BEGUN, None)
    check_times(launcher)
    try:
        executor = executor_of(launcher)
        with executor.batch():
            jobs = [executor.submit(leader) for _ in range(n_jobs)]
    except NOT_SUBMITTED as error:
        raise not_accepted(error) from error
    job = jobs[0].job_id.partition("_")[0]
    study.set_attribute(SLURM_JOBS, [*(study.attribute(SLURM_JOBS) or ()), job])
    return job, str(jobs[0].paths.folder.parent)


def jobs_begun(study: SweepStudy) -> float:
    """Return when the first job of a detached sweep began, in seconds since 1970; this process's may be the first.

    The time of the command counts from there, for all its jobs: also for one that starts later, or that Slurm requeues.
    """
    return float(study.first_attribute(JOBS_BEGUN, time.time()))


def tell_submitted(console: Console, settings: Settings, study: SweepStudy, job: str, n_jobs: int, logs: str) -> None:
    """Say how to watch and stop the jobs of a detached sweep.

    Args:
        console: where.
        settings: of the sweep.
        study: which the jobs run.
        job, logs: from `submit`.
        n_jobs: their number.
    """
    if sqlite_file(study.url) is not None:
        console.print(
            f"hydra.sweeper.storage={without_passwords(settings.storage)} is a file, which the nodes may not see, and"
            " which one node alone may use safely; for several take postgresql://USER@HOST/DATABASE"
        )
    console.print(
        f"Slurm job {job} runs study {study.name} with {counted(n_jobs, 'worker')}, also when this host has gone"
    )
    print_steps(
        console,
        [
            ("to watch it", f"squeue --jobs={job}"),
            ("to see its trials, and their summary at the end", show_command(study.name, settings.storage)),
            ("to stop it; the command that has submitted it goes on with it", f"scancel {job}"),
            ("to write its report", report_command(study.name, settings.storage)),
            ("to read what its workers print", f"tail -n 20 {shlex.quote(logs)}/{job}_*/*.out"),
        ],
    )
