"""A training's memory does not grow, also over snapshots."""

import gc

import psutil
import pytest
import torch

from clipgan.tasks.train import train
from tests.helpers import make_config
from tests.tiny import tiny

WARM_UP = 4  # kimg
BOUND = 60  # MB in 50 kimg: the images and features of a snapshot, kept, would be 2.5 MB each


def growth(cache_dir, tmp_path, kimg, since, measure, images):
    """What `measure` gives more at the last snapshot than at `since`, in MB."""
    seen = {}

    def report(value, at):
        gc.collect()
        seen[at] = measure() / 1e6
        return False

    overrides = (f"kimg={kimg}", f"mlflow.tracking_uri=sqlite:///{tmp_path}/mlflow.db", f"metrics.n_images={images}")
    train(make_config(*tiny(cache_dir, *overrides)), tmp_path / "run", report=report)
    assert set(seen) == set(range(kimg + 1))  # a snapshot each kimg
    return seen[kimg] - seen[since]


def bytes_of_tensors():
    """Of all tensors that Python knows, each storage once."""
    storages = {}
    for thing in gc.get_objects():
        if type(thing) in (torch.Tensor, torch.nn.Parameter):  # not what a compiler leaves behind
            storage = thing.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


@pytest.mark.endurance
def test_no_tensor_leaks(cache_dir, tmp_path):
    assert growth(cache_dir, tmp_path, kimg=3, since=1, measure=bytes_of_tensors, images=300) < 0.1


@pytest.mark.endurance
def test_memory_does_not_grow_over_50_kimg(cache_dir, tmp_path):
    resident = psutil.Process().memory_info
    assert growth(cache_dir, tmp_path, WARM_UP + 50, WARM_UP, lambda: resident().rss, images=2000) < BOUND
