"""The end of a job that has lost its trial: another job of the same trial may write into its directory by then.

A launcher may run a job far from the process that claimed its trial, as Slurm does: when that process is stopped or
killed, the trial waits again and the job goes on unaware.
"""

import os
import sys
import threading
from contextlib import AbstractContextManager

from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from sweeps.base.repeating import repeating
from sweeps.job.current_trial import RunningTrial

EVERY = 3.0  # seconds between two looks


def ending_with(trial: RunningTrial) -> AbstractContextManager[None]:
    """End this process, at once and without cleaning up, when the trial does not run any more but the block does."""

    def look(over: threading.Event) -> None:
        try:
            runs = trial.state() == TrialState.RUNNING
        except StorageInternalError:  # no database answers for now
            return
        if runs or over.is_set():
            return
        print(f"trial {trial.number} was taken away: this process ends", file=sys.stderr, flush=True)
        os._exit(1)  # an exception would let the job write a last checkpoint over that of its successor

    return repeating(look, EVERY)
