"""That a training's memory does not grow: resident memory after a warm-up and at the end, snapshots included."""

import gc

import psutil
import pytest

from clipgan.training.loop import train
from tests.helpers import make_config
from tests.tiny import tiny

WARM_UP = 4  # kimg
BOUND = 60  # MB; a kimg that kept one snapshot's images or features would be far beyond it after some


def growth(cache_dir, tmp_path, kimg):
    """MB between the snapshot at `WARM_UP` and the last one."""
    resident = {}

    def report(value, at):
        gc.collect()
        resident[at] = psutil.Process().memory_info().rss / 1e6
        return False

    overrides = (f"kimg={kimg}", "resume=none", f"mlflow.tracking_uri=sqlite:///{tmp_path}/mlflow.db")
    train(make_config(*tiny(cache_dir, *overrides)), tmp_path / "run", report=report)
    assert set(resident) == set(range(kimg + 1))  # a snapshot each kimg
    return resident[kimg] - resident[WARM_UP]


@pytest.mark.slow
def test_memory_does_not_grow_over_some_snapshots(cache_dir, tmp_path):
    assert growth(cache_dir, tmp_path, kimg=6) < BOUND


@pytest.mark.endurance
def test_memory_does_not_grow_over_50_kimg(cache_dir, tmp_path):
    assert growth(cache_dir, tmp_path, kimg=WARM_UP + 50) < BOUND
