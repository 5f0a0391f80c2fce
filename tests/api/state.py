"""What a call of a Python function must leave as it was."""

import logging
import os
import random

import numpy as np
import torch


def state_of_process():
    return {
        "environment": dict(os.environ),
        "handlers": [*logging.root.handlers],
        "level": logging.root.level,
        "random": random.getstate(),
        "numpy": repr(np.random.get_state()),
        "torch": torch.get_rng_state().tolist(),
        "dtype": torch.get_default_dtype(),
        "device": torch.empty(0).device,
        "inference": torch.is_inference_mode_enabled(),
        "gradients": torch.is_grad_enabled(),
    }


def assert_as(before):
    """The process is as it was."""
    for name, value in state_of_process().items():
        assert value == before[name], name
