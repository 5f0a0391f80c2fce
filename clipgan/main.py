"""`python train.py` and `clipgan-train`: the one place where Hydra, the trainings and the sweeps meet."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra

from clipgan.base.installed import conf, train_command
from clipgan.base.secrets import without_passwords
from clipgan.config.command_line import (
    first_process,
    hide_passwords,
    key_of,
    messages_not_tracebacks,
    prepare_hydra,
    under_torchrun,
    version_base,
)

if TYPE_CHECKING:  # they import torch and Optuna
    from clipgan.engine.result import Result
    from sweeps.job.current_trial import RunningTrial


def main() -> None:
    """The command line; a mistake is one message."""
    with messages_not_tracebacks():
        hide_passwords(sys.argv)
        sys.argv += under_torchrun(sys.argv)
        prepare_hydra(lambda: shlex.join(train_command()))
        hydra.main(config_path=str(conf()), config_name="config", **version_base())(task)()


def task(cfg: Any) -> float:
    """Train as `cfg` says and return the objective, for a sweep."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads of two processes stop each other
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from clipgan.base.errors import DivergenceError, Interrupted, ProcessError, UserError
    from sweeps.job.current_trial import current_trial
    from sweeps.job.task_function import REQUEUE, PermanentFailure

    run: Any = HydraConfig.get()
    trial = current_trial()
    try:
        result = _train(cfg, run, trial)
    except (UserError, DivergenceError) as error:
        if run.mode == RunMode.MULTIRUN:  # the sweeper records it as the reason of this trial's failure and goes on
            if isinstance(error, ProcessError):
                raise
            raise PermanentFailure(f"{type(error).__name__}: {error}") from error
        sys.exit(str(error) if first_process() else 1)
    except Interrupted as interrupted:
        if run.mode == RunMode.RUN and first_process():  # a sweep says itself what goes on
            print(f"ended by {interrupted}; it goes on with: {_again(run)}{_with_environment()}", file=sys.stderr)
        sys.exit(REQUEUE)
    if trial:
        trial.set(f"sec_per_{result.unit}", result.sec_per_unit)
        if result.objective_sd is not None:
            trial.set("objective_sd", result.objective_sd)
        if result.stopped:
            trial.end_as_pruned()
    return result.objective


def _train(cfg: Any, run: Any, trial: "RunningTrial | None") -> "Result":
    """The training's result.

    Args:
        cfg: the composed configuration.
        run: Hydra's own part of it.
        trial: the sweep's trial that this is, or None.
    """
    from hydra.types import RunMode

    from clipgan.base.errors import UserError
    from clipgan.config import from_yaml, refuse_unread
    from clipgan.tracking.run_description import Origin

    given = set(map(key_of, run.overrides.task))
    if run.mode == RunMode.RUN and run.sweeper.params.keys() - given:  # a trial's own command gives every axis
        command = shlex.join([*train_command(), "-m", *run.overrides.task])
        raise UserError(f"grid={run.runtime.choices.grid} is for a sweep: {command}")
    config = from_yaml(cfg)  # before torch is imported: a mistake is told at once
    refuse_unread(config, given)
    from clipgan.base.distributed import told_by_first
    from clipgan.engine.processes import further_processes, spread
    from clipgan.tasks.train import train

    config = spread(config)
    run_dir = Path(told_by_first("run directory", run.runtime.output_dir))
    origin = Origin(_again(run, saved=True), trial.overrides() if trial else (), trial.parent_run_id if trial else None)
    with further_processes(config, run_dir, train):
        return train(config, run_dir, report=trial.report if trial else None, origin=origin)


def _again(run: Any, saved: bool = False) -> str:
    """The command that goes on with this run, in its own directory.

    Args:
        run: Hydra's own part of the configuration.
        saved: whether the run has a checkpoint by the time that somebody reads this; else, if it has one now.
    """
    from hydra.types import RunMode

    from clipgan.engine import run_files

    task = run.overrides.task
    if saved or run_files.holds_checkpoint(Path(run.runtime.output_dir)):  # these lead on from what `resume` named
        task = [line for line in task if key_of(line) != "resume"] + ["resume=auto"]
    hydras = [line for line in run.overrides.hydra if not line.startswith(("hydra.run.dir=", "hydra.mode="))]
    if run.mode == RunMode.MULTIRUN:  # those are the sweep's
        hydras = []
    again = [*task, *hydras, f"hydra.run.dir={run.runtime.output_dir}"]
    return without_passwords(shlex.join([*train_command(), *again]))


def _with_environment() -> str:
    """What that command needs besides, as no password stands on it."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    shown = without_passwords(uri)
    return f"\nwith the environment's MLFLOW_TRACKING_URI={shown} (and its password) set" if shown != uri else ""
