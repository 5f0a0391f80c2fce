"""End a job that has lost its trial: another job of the same trial may already write into its directory.

A launcher may run a job far from the process that claimed its trial, as Slurm does. When this process is stopped or
killed, the trial waits again, but the job does not notice and continues.
"""

import os
import sys
import threading
from contextlib import AbstractContextManager

from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from sweeps.base.repeating import repeating
from sweeps.job.current_trial import RunningTrial

EVERY = 3.0  # seconds between two checks


def ending_with(trial: RunningTrial) -> AbstractContextManager[None]:
    """Kill this process, without cleaning up, if the trial's state is no longer RUNNING while the block runs."""

    def look(over: threading.Event) -> None:
        try:
            runs = trial.state() == TrialState.RUNNING
        except StorageInternalError:  # no database answers for now
            return
        if runs or over.is_set():
            return
        print(f"trial {trial.number} was given to another process: this process ends", file=sys.stderr, flush=True)
        os._exit(1)  # an exception would let the job overwrite its successor's checkpoint

    return repeating(look, EVERY)
