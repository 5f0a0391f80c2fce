"""Fine-tuning a converted pickle: a real training starts from its weights."""

import json
import math

import pytest
import torch

from clipgan.base.errors import UserError
from clipgan.engine.checkpoint_file import load_checkpoint
from clipgan.evaluate import evaluate
from clipgan.evaluating.options import parse
from clipgan.import_lafite.__main__ import import_lafite
from clipgan.tasks.train import train
from tests.helpers import make_config
from tests.tiny import tiny

CPU = torch.device("cpu")


@pytest.mark.slow
def test_a_training_starts_from_a_converted_pickle(public, cache_dir, tmp_path):
    out = tmp_path / "lafite.pt"
    settings = import_lafite(public[1], out, ["clip=tiny"])
    base = tiny(cache_dir, "kimg=1", "batch=16", "loss=lafite", "mlflow.tracking_uri=null", *settings)
    before = load_checkpoint(out, CPU)["state"]
    result = train(make_config(*base, f"init={out}", "freeze_d=1"), tmp_path / "run")
    assert math.isfinite(result.objective)
    after = load_checkpoint(tmp_path / "run" / "checkpoint-000001.pt", CPU)["state"]
    assert after["step"] == 63
    frozen = [name for name in before["discriminator"] if name.startswith("from_rgb.")]
    assert all(torch.equal(after["discriminator"][name], before["discriminator"][name]) for name in frozen)
    for network, name in [("generator_ema", "synthesis.blocks.16.up.style.scale.0.weight"),
                          ("generator_ema", "synthesis.blocks.8.conv.weight"),
                          ("discriminator", "semantic.weight")]:  # fmt: skip
        moved = (after[network][name] - before[network][name]).abs().max()
        assert 0 < moved < 0.5 * before[network][name].abs().max(), name
    noise = "synthesis.blocks.16.conv.noise"
    assert torch.equal(after["generator"][noise], before["generator_ema"][noise])
    with pytest.raises(UserError, match=rf"resume={out} holds weights and no training.*init={out}"):
        train(make_config(*base, f"resume={out}"), tmp_path / "other")


@pytest.mark.slow
def test_a_converted_pickle_is_measured_by_a_judge(public, cache_dir, tmp_path):
    """No training of this project has measured it before, so there is nothing that data and judge must equal."""
    kept = [override for override in tiny(cache_dir, "clip=tiny") if not override.startswith("model.")]
    import_lafite(public[1], tmp_path / "lafite.pt", kept)
    evaluate(parse([f"ckpt={tmp_path / 'lafite.pt'}", "metrics=[fid,clip_score]", f"out={tmp_path / 'out'}",
                    f"cache_dir={cache_dir}", "mlflow.tracking_uri=null"]))  # fmt: skip
    [found] = json.loads((tmp_path / "out" / "metrics.json").read_text())["evaluations"]
    assert math.isfinite(found["metrics"]["fid32_clip_tiny64"])
    assert math.isfinite(found["metrics"]["clip_score_clip_tiny64"])
