"""`sweep`: trainings of many settings, as a study."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from clipgan.api.checks import refuse_no_list
from clipgan.base.errors import UserError
from clipgan.base.installed import conf, train_command, train_program

if TYPE_CHECKING:  # they import Optuna
    from sweeps.report.reading import Sweep


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
        UserError: an override is not allowed; or a flag or a dry run is among them; or the command was refused or
            stopped, and the message has its last line.
    """
    from clipgan.config.arguments import own_folders, quote_paths
    from clipgan.config.command_line import mistakes_as_user_errors, register_resolvers
    from clipgan.config.mistakes import refuse_flags
    from clipgan.config.own_files import refuse_misread
    from sweeps.base.errors import FAILED
    from sweeps.base.settings import dotted_keys
    from sweeps.command.request import read_outside_hydra
    from sweeps.report.reading import read

    refuse_no_list("overrides", overrides, '["h=0.1,0.5,2", "kimg=2"]')
    refuse_flags(overrides)
    register_resolvers()
    with mistakes_as_user_errors(overrides, dotted_keys):
        written = quote_paths(["-m", *overrides])[1:]
        refuse_misread(own_folders(written))
        request = read_outside_hydra(conf(), "config", written)
    if request.settings.dry_run:
        raise UserError(
            "hydra.sweeper.dry_run runs no trial, and sweep() returns a study: leave it out, or give the command "
            + shlex.join([*train_command(), "-m", *overrides])
        )
    command = [*train_program(), "-m", *overrides]
    last = ""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
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
    if status not in (0, FAILED):
        raise UserError(f"the sweep ended with status {status}: {last}")
    return read(request.settings.storage, request.study_name)
