"""Overrides that make a whole training a matter of seconds: little data, weak encoders, a small network."""

from pathlib import Path

SMALL = (
    "data.n_train=96",
    "data.n_heldout=32",
    "resolution=16",
    "clip.train.steps=2",
    "clip.train.batch=8",
    "clip.train.min_attribute_accuracy=0",
)
TINY = (
    *SMALL,
    "batch=96",  # a kimg in 11 steps
    "resnet.train.steps=2",
    "resnet.train.batch=8",
    "metrics.judge.train.steps=2",
    "metrics.judge.train.batch=8",
    "metrics.judge.train.min_attribute_accuracy=0",
    "metrics.n_images=32",
    "metrics.r_precision_hard=never",  # its captions would take most of the time
    "model.channel_base=64",
    "model.channel_max=16",
    "kimg=2",
    "snapshot_kimg=1",
    "sample_prompts=2",
    "sample_latents=3",
    "mlflow.log_model=false",  # 27 MB a training; tests/sampling logs one
)
TINY_SIMCLR = (
    "task=simclr",
    *SMALL,
    "batch=32",
    "epochs=2",
    "snapshot_epochs=1",
    "simclr.linear.epochs=20",
    "simclr.classes=[shape]",
)


def tiny(cache_dir: Path, *overrides: str) -> list[str]:
    """A GAN's training with a cache of its own."""
    return [*TINY, f"cache_dir={cache_dir}", *overrides]


def tiny_simclr(cache_dir: Path, *overrides: str) -> list[str]:
    """A pretraining with a cache of its own."""
    return [*TINY_SIMCLR, f"cache_dir={cache_dir}", *overrides]
