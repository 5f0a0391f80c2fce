"""A training with adaptive augmentation that is resumed: its p, and its end."""

import pytest
import torch

from clipgan.engine.checkpoint_file import load_checkpoint
from clipgan.tasks.train import train
from tests.helpers import assert_same, make_config
from tests.tiny import tiny

CPU = torch.device("cpu")


@pytest.mark.slow
def test_a_resumed_training_has_the_same_p_and_ends_the_same(cache_dir, tmp_path):
    """Also its pyramid of scales, and a stop in the middle of an interval: 64 images a step, 15 or 16 steps a kimg."""

    def configure(*overrides):
        more = ("batch=64", "model=msg", "augment=ada", "augment.kimg=1", "augment.interval=5", "augment.target=-0.9")
        return make_config(*tiny(cache_dir, "mlflow.tracking_uri=null", *more, *overrides))

    def state(run, kimg):
        return load_checkpoint(tmp_path / run / f"checkpoint-{kimg:06d}.pt", CPU)["state"]

    train(configure("kimg=2"), tmp_path / "whole")
    train(configure("kimg=1"), tmp_path / "halves")
    half = state("halves", 1)["augmentation"]
    assert float(half["p"]) == pytest.approx(0.96)  # three times 64 * 5 / 1000
    assert float(half["signs"]) != 0
    train(configure("kimg=2"), tmp_path / "halves")
    assert_same(state("whole", 2), state("halves", 2))
