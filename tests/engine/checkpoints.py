"""A checkpoint without a training."""

import torch


def content(size: int = 1000, step: int = 100, **parts):
    """What is taken for a checkpoint, of some size."""
    networks = {name: torch.arange(size) for name in ("generator", "discriminator", "generator_ema")}
    config = {"model": {}, "clip": {}, "resolution": 16}
    return {"state": {**networks, "step": step}, "history": [(1, 2.0)], "train_seconds": 0.0, "config": config, **parts}
