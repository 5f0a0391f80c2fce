"""Keep the state of the process in which the Python functions are called."""

import logging
import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from clipgan.base.console import console

_computing = threading.RLock()


@contextmanager
def alone() -> Iterator[None]:
    """Let the trainings and evaluations of several threads follow one another.

    Random state of initial weights, number of threads and deterministic algorithms are those of the process: beside
    another training, a training would have other values, and the process would keep its settings.
    """
    if not _computing.acquire(blocking=False):
        console.print("this call waits until a training or evaluation of another thread has ended")
        _computing.acquire()
    try:
        yield
    finally:
        _computing.release()


@contextmanager
def callers_state_kept() -> Iterator[None]:
    """Compute with PyTorch's defaults; leave environment, root logger and global random states as they were.

    Libraries change them: open_clip gives the root logger a handler, MLflow and PyTorch set environment variables, and
    networks draw initial weights before they load others. Imports do so too: let them stand in the block.
    """
    import numpy as np
    import torch

    from clipgan.base.torch_defaults import torch_defaults

    variables, handlers, level = dict(os.environ), logging.root.handlers[:], logging.root.level
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    try:
        with torch_defaults():
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if on_gpus is None:
            torch.cuda.manual_seed_all(torch.initial_seed())  # as the caller's torch.manual_seed has asked
        else:
            torch.cuda.set_rng_state_all(on_gpus)
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        for name in os.environ.keys() - variables.keys():
            del os.environ[name]
        os.environ.update(variables)
