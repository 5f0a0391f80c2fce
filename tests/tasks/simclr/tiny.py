"""Overrides for a pretraining of a few seconds."""

from pathlib import Path

TINY = (
    "task=simclr",
    "data.n_train=96",
    "data.n_heldout=32",
    "resolution=16",
    "clip.train.steps=2",
    "clip.train.batch=8",
    "clip.train.min_attribute_accuracy=0",
    "batch=32",
    "epochs=2",
    "snapshot_epochs=1",
    "simclr.linear.epochs=20",
    "simclr.classes=[shape]",
)


def tiny(cache_dir: Path, *overrides: str) -> list[str]:
    """`TINY` with a cache of its own."""
    return [*TINY, f"cache_dir={cache_dir}", *overrides]
