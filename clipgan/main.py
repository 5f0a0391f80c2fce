"""`python train.py` and `clipgan-train`: the only module that knows Hydra, trainings and sweeps at once."""

import os
import shutil
import sys
import warnings
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.experimental.callback import Callback

from clipgan.base import lookup
from clipgan.base.composing import given_overrides, version_base
from clipgan.base.config_store import share_config_store
from clipgan.base.installed import conf
from clipgan.base.run_lock import NAME as LOCK
from clipgan.base.secrets import without_passwords
from clipgan.base.text import config_flags, printable
from clipgan.config.arguments import flags_and_overrides, key_of, own_folders, quote_paths
from clipgan.config.command_line import first_process, messages_not_tracebacks, register_resolvers, under_torchrun
from clipgan.config.hiding import hide_in_files, hide_passwords
from clipgan.config.mistakes import refuse_unknown_flag
from clipgan.config.own_files import refuse_misread
from clipgan.config.system_refusals import refusals_as_mistakes
from clipgan.config.user_command import UserCommand

if TYPE_CHECKING:  # they import torch and Optuna
    from clipgan.engine.result import Result
    from sweeps.job.current_trial import RunningTrial


INFORMING = {"--help", "-h", "--hydra-help", "--version", "--info", "-i", "--shell-completion", "-sc"}  # flags
_made: list[Path] = []  # folders above the run directory that this command has made, the nearest first


def main() -> None:
    """Run the command line; a user's mistake ends it with one message."""
    with messages_not_tracebacks(further_keys=_names_of_sweep_keys):
        hide_passwords(sys.argv)
        flags, overrides = flags_and_overrides(quote_paths(sys.argv[1:]))
        for flag in flags:
            refuse_unknown_flag(flag, _names_of_sweep_keys)
        sys.argv[1:] = [*flags, *overrides]
        if not INFORMING.intersection(flags):
            refuse_misread(own_folders(sys.argv[1:]))
        sys.argv += under_torchrun(sys.argv)
        # Hydra 1.4 warns of each class that a configuration names, also of this project's own
        warnings.filterwarnings("ignore", r"hydra\.utils\.instantiate\(\) resolved _target_='clipgan\.", UserWarning)
        share_config_store()
        register_resolvers(sweep_keys=_sweep_keys)
        hydra.main(config_path=str(conf()), config_name="config", **version_base())(task)()


class RunDirectory(Callback):
    """Takes the directory of a single run before Hydra writes into it; `launch` takes that of a trial."""

    def on_run_start(self, config: Any, **_: Any) -> None:
        """End the command with one message if another process uses the directory."""
        from omegaconf.errors import OmegaConfBaseException

        from clipgan.base.errors import ProcessError
        from clipgan.base.run_lock import take

        if not first_process():
            return
        try:
            folder = Path(config.hydra.run.dir).absolute()
        except OmegaConfBaseException:  # it refers to nothing: Hydra's own message follows
            return
        try:
            with suppress(OSError):  # it cannot be written: Hydra's own message follows
                _made[:] = [parent for parent in folder.parents if not lookup.exists(parent)]
                take(folder)
        except ProcessError as error:  # Hydra turns other exceptions of a callback into warnings
            sys.exit(printable(str(error)))


def _sweep_keys() -> str:
    """A line for each setting of a sweep, for --help."""
    from clipgan.config.meanings import defaults, listing, meanings
    from sweeps.base.settings import Settings

    return listing(meanings(Settings), defaults(Settings))


def _names_of_sweep_keys() -> list[str]:
    """The sweep's keys, for the suggestion after a typing error."""
    from sweeps.base.settings import dotted_keys

    return dotted_keys()


def task(cfg: Any) -> float:
    """Train as `cfg` says and return the objective, for a sweep."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads would block other processes' threads
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from clipgan.base.errors import DivergenceError, Interrupted, MemoryRanOutError, ProcessError, UserError
    from sweeps.job.current_trial import current_trial
    from sweeps.job.task_function import REQUEUE, PermanentFailure

    run: Any = HydraConfig.get()
    if run.job.chdir:
        os.chdir(run.runtime.cwd)  # all paths, also printed ones, begin where the command was given
    hide_in_files([cfg, run], Path(run.runtime.output_dir) / (run.output_subdir or ""))
    trial = current_trial()
    try:
        # a sweep tries the trial again
        with nullcontext() if run.mode == RunMode.MULTIRUN else refusals_as_mistakes():
            result = _train(cfg, run, trial)
    except (UserError, DivergenceError) as error:
        if run.mode == RunMode.MULTIRUN:  # the sweeper records the error as this trial's failure and continues
            if isinstance(error, ProcessError):
                raise
            raise PermanentFailure(str(error) if isinstance(error, UserError) else f"divergence: {error}") from error
        if first_process():
            if not isinstance(error, ProcessError):  # another process's directory
                _remove_if_empty(Path(run.runtime.output_dir), run)
            sys.exit(printable(str(error)))
        # the first process tells what all refuse; memory may run out in one alone
        sys.exit(printable(str(error)) if isinstance(error, MemoryRanOutError) else 1)
    except Interrupted as interrupted:
        if run.mode == RunMode.RUN and first_process():  # a sweep prints a message of its own
            command = _resume_command(run) + _environment_hint()
            with suppress(OSError):  # the terminal or the reader may be gone
                print(printable(f"ended by {interrupted}; it goes on with: {command}"), file=sys.stderr, flush=True)
        sys.exit(REQUEUE)
    if trial:
        trial.set(f"sec_per_{result.unit}", result.sec_per_unit)
        for name, value in result.figures.items():
            trial.set(name, value)
        if result.objective_sd is not None:
            trial.set("objective_sd", result.objective_sd)
        if result.stopped:
            trial.end_as_pruned()
    return result.objective


def _remove_if_empty(folder: Path, run: Any) -> None:
    """Remove the run directory of a command that was refused, if it holds nothing but Hydra's own files.

    The folders above it that the command has made go, too.

    Args:
        folder: the run directory, which Hydra has made before it called the task.
        run: Hydra's own part of the configuration.
    """
    hydras, log = run.output_subdir, f"{run.job.name}.log"
    own = {hydras, log, LOCK}
    if hydras is None or any(path.name not in own for path in folder.iterdir()):
        return
    shutil.rmtree(folder / hydras, ignore_errors=True)
    with suppress(OSError):
        for name in (log, LOCK):
            (folder / name).unlink(missing_ok=True)
        # another --config-name may lack RunDirectory, which notes what is made; no folder with a file in it is removed
        above = _made if run.callbacks else [path for path in folder.parents if Path.cwd() in path.parents]
        for made in (folder, *above):
            made.rmdir()


def _train(cfg: Any, run: Any, trial: "RunningTrial | None") -> "Result":
    """Train and return the result.

    Args:
        cfg: the composed configuration.
        run: Hydra's own part of the configuration.
        trial: the sweep's trial, or None outside a sweep.
    """
    from hydra.types import RunMode

    from clipgan.base.errors import UserError
    from clipgan.config import from_yaml, refuse_unread
    from clipgan.tracking.run_description import Origin

    overrides = given_overrides(run, "task")
    given = set(map(key_of, overrides))
    axes = (run.sweeper.params or {}).keys()  # a trial's command has a value for every one
    if run.mode == RunMode.RUN and axes - given:
        grids = [line for line in overrides if key_of(line) == "grid"]
        wanted = grids[-1] if grids else "hydra.sweeper.params"
        raise UserError(f"{wanted} needs a sweep: {_command(run).sweep()}")
    config = from_yaml(cfg)  # before the import of torch, so that mistakes are reported at once
    refuse_unread(config, given)
    from clipgan.api.training import train
    from clipgan.base.distributed import value_of_first

    run_dir = Path(value_of_first("run directory", run.runtime.output_dir))
    origin = Origin(_command(run))
    if trial is not None:
        origin = Origin(
            _command(run), trial.overrides(), trial.parent_run_id,
            tell_names=trial.name_metrics, tell_sources=trial.tell_sources,
        )  # fmt: skip
    return train(config, run_dir, report=trial.report if trial else None, origin=origin)


def _command(run: Any) -> UserCommand:
    """Return the command line of this run; `run` is Hydra's own part of the configuration."""
    from hydra.types import RunMode

    hydra_overrides = [
        line for line in given_overrides(run, "hydra") if key_of(line) not in ("hydra.run.dir", "hydra.mode")
    ]
    if run.mode == RunMode.MULTIRUN:  # these belong to the sweep
        hydra_overrides = []
    flags = tuple(config_flags(sys.argv[1:]))
    return UserCommand(tuple(given_overrides(run, "task")), tuple(hydra_overrides), Path(run.runtime.output_dir), flags)


def _resume_command(run: Any) -> str:
    """Return the command that continues an interrupted run, in the same directory."""
    from clipgan.engine import checkpoint_folder

    command = _command(run)
    if checkpoint_folder.holds_checkpoint(Path(run.runtime.output_dir)):  # newer than what `resume` names
        return command.resumed()
    return command.again()


def _environment_hint() -> str:
    """Name the environment variable whose password the resume command leaves out; empty if there is none."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    shown = without_passwords(uri)
    return f"\nwith the environment's MLFLOW_TRACKING_URI={shown} (and its password) set" if shown != uri else ""
