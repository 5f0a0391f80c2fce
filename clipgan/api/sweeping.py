"""`sweep`: trainings of many settings, as a study."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

from clipgan.api.checks import refuse_no_list
from clipgan.base.errors import UserError
from clipgan.base.installed import conf, train_command, train_program

if TYPE_CHECKING:  # they import Optuna
    from sweeps.report.reading import Sweep
    from sweeps.search.plan import Plan


def sweep(overrides: Sequence[str], show: bool = True) -> "Sweep":
    """Run the points of a sweep that its study lacks, and return the study.

    The sweep runs in processes of its own, which are started by the same command as from a shell. A second call with
    the same overrides runs nothing; with more values, it extends the study.

    Args:
        overrides: those of `python train.py -m`, as in `["loss=symmetric", "h=0.1,0.5,2"]`, without a dry run. For
            Hydra's --config-dir DIR, write `hydra.searchpath=[file://DIR]`.
        show: whether to print what the command prints.

    Returns:
        The study: `points` (the best first), `trials`, `objective`, `best_checkpoint`. Trials may have failed: their
        `state` is FAIL and their `reason` says why.

    Raises:
        UserError: an override is not allowed; or a flag or a dry run is among them; or the command ended although no
            trial has failed, and the message has its last line.
    """
    from clipgan.config.arguments import own_folders
    from clipgan.config.command_line import mistakes_as_user_errors, register_resolvers
    from clipgan.config.mistakes import refuse_flags
    from clipgan.config.own_files import refuse_misread
    from sweeps.base.errors import SweepError
    from sweeps.base.settings import dotted_keys
    from sweeps.command.request import read_outside_hydra
    from sweeps.report.reading import read

    refuse_no_list("overrides", overrides, '["h=0.1,0.5,2", "kimg=2"]')
    refuse_flags(overrides)
    register_resolvers()
    with mistakes_as_user_errors(overrides, dotted_keys):
        refuse_misread(own_folders(overrides))
        request = read_outside_hydra(conf(), "config", overrides)
    if request.settings.dry_run:
        raise UserError(
            "hydra.sweeper.dry_run runs no trial, and sweep() returns a study: leave it out, or give the command "
            + shlex.join([*train_command(), "-m", *overrides])
        )
    failed_before: set[int] = set()
    with suppress(SweepError):  # the command may make the study
        failed_before = _failed(read(request.settings.storage, request.study_name))
    command = [*train_program(), "-m", *overrides]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    last = ""
    try:
        assert process.stdout is not None
        for line in process.stdout:
            last = line.strip() or last
            if show:
                sys.stdout.write(line)  # through Python, so that a notebook shows it in its cell
                sys.stdout.flush()
    finally:
        process.terminate()  # after Ctrl-C, trials save a checkpoint; a process that has ended feels nothing
        status = process.wait()
    study = None
    if status in (0, 1):
        with suppress(SweepError) if status else nullcontext():  # the command may have ended before it made the study
            study = read(request.settings.storage, request.study_name)
    # status 1: a trial has failed now, or all have; or the command was refused, and an earlier one has made the study
    if study is None or (status and not _has_failed(study, failed_before, request.plan)):
        raise UserError(f"the sweep ended with status {status}: {last}")
    return study


def _failed(study: "Sweep") -> set[int]:
    """Return the numbers of the trials that count as the last of their point and seed, and have failed."""
    return {trial.latest.number for trial in study.trials if trial.latest.state == "FAIL"}


def _has_failed(study: "Sweep", before: set[int], plan: "Plan") -> bool:
    """Whether failed trials explain a command's status 1: one of now, or earlier ones where no point has a value."""
    failed = _failed(study)
    has_value = any(trial.state in ("COMPLETE", "PRUNED") and plan.wants(trial) for trial in study.trials)
    return bool(failed - before) or (bool(failed) and not has_value)
