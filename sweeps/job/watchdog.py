"""The end of a job whose trial was taken away: another one of the same trial may write into its directory by then.

A launcher may run a job far from the process that claimed its trial, as Slurm does: when that process is stopped or
killed, the trial waits again and the job goes on unaware.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from sweeps.job.current_trial import RunningTrial

EVERY = 3.0  # seconds between two looks


@contextmanager
def ending_with(trial: RunningTrial) -> Iterator[None]:
    """End this process, at once and without cleaning up, when the trial does not run any more but the block does."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(EVERY):
            if not _still_runs(trial) and not over.is_set():
                print(f"trial {trial.number} was taken away: this process ends", file=sys.stderr, flush=True)
                os._exit(1)  # an exception would let the job write a last checkpoint over that of its successor

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _still_runs(trial: RunningTrial) -> bool:
    try:
        return trial.state() == TrialState.RUNNING
    except StorageInternalError:  # no database answers for now
        return True
