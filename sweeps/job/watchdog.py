"""End a job that has lost its trial: another job of the same trial may already write into its directory.

A launcher may run a job far from the process that claimed its trial, as Slurm does. When this process is killed, the
job does not notice and continues.
"""

import os
import signal
import sys
import threading
import time
from contextlib import AbstractContextManager

from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from sweeps.base.environment import GRACE
from sweeps.base.errors import SweepError
from sweeps.base.repeating import repeating
from sweeps.job.current_trial import RunningTrial

EVERY = 3.0  # seconds between two checks


def ending_with(trial: RunningTrial) -> AbstractContextManager[None]:
    """Kill this process, without cleaning up, if the trial's state is no longer RUNNING while the block runs.

    A job that Slurm runs also stops, as by SIGTERM, when the sweep sends no heartbeats for its trial any more.
    """
    grace = int(os.environ.get(GRACE, "0"))
    heard, stopped = time.monotonic(), False  # when the sweep was no longer silent, or no database answered

    def look(over: threading.Event) -> None:
        nonlocal heard, stopped
        try:
            runs = trial.state() == TrialState.RUNNING
            if stopped or not grace or not trial.is_silent(grace):
                heard = time.monotonic()
        except (StorageInternalError, SweepError):  # no database answers for now, also not to the sweep's heartbeats
            heard = time.monotonic()
            return
        if over.is_set():
            return
        if runs and grace and time.monotonic() - heard > grace / 2:  # longer than between two heartbeats
            print("the sweep sends no heartbeats any more: this process stops", file=sys.stderr, flush=True)
            stopped = True
            os.kill(os.getpid(), signal.SIGTERM)
        elif not runs:
            print("the trial was given to another process: this process ends", file=sys.stderr, flush=True)
            os._exit(1)  # an exception would let the job overwrite its successor's checkpoint

    if grace:  # a job may come out of Slurm's queue too late
        look(threading.Event())
    return repeating(look, EVERY)
