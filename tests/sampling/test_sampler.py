"""A prompt and a seed make one picture, whatever else is asked for; where the CLIP's weights come from."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from clipgan.base.errors import UserError
from clipgan.engine.checkpoint_file import load_checkpoint, save_checkpoint
from clipgan.sampling.sampler import open_sampler
from clipgan.sampling.source import from_checkpoint

CPU = torch.device("cpu")
PROMPT = "a large red circle on a blue background"


def changed(run, path, **parts):
    """A copy of the checkpoint with other parts; None leaves one out."""
    content = load_checkpoint(run.checkpoint, CPU) | parts
    save_checkpoint(path, {key: value for key, value in content.items() if value is not None})
    return from_checkpoint(path)


def test_a_picture_depends_on_prompt_seed_and_truncation_alone(sampler):
    condition = sampler.condition(PROMPT)
    first = sampler.image(condition, 3)
    sampler.image(condition, 4)
    assert torch.equal(sampler.image(sampler.condition(PROMPT), 3), first)
    assert (first.shape, first.dtype) == ((3, 16, 16), torch.uint8)
    assert not torch.equal(sampler.image(condition, 4), first)
    assert not torch.equal(sampler.image(sampler.condition("another"), 3), first)
    assert not torch.equal(sampler.image(condition, 3, truncation=0.5), first)


def test_truncation_0_is_the_average_style(sampler):
    condition = sampler.condition(PROMPT)
    average = sampler.generator.mapping.w_average[None]
    assert torch.equal(sampler.image(condition, 5, truncation=0.0), sampler.synthesise(average, condition, 5, 1.0))


def test_it_draws_with_the_moving_average(run, sampler):
    state = load_checkpoint(run.checkpoint, CPU)["state"]
    assert torch.equal(sampler.generator.synthesis.constant, state["generator_ema"]["synthesis.constant"])
    assert not torch.equal(sampler.generator.synthesis.constant, state["generator"]["synthesis.constant"])


def test_a_lost_clip_is_asked_for_and_may_be_given(run, sampler, tmp_path):
    elsewhere = tmp_path / "clip.safetensors"
    shutil.copy(sampler.clip.file, elsewhere)
    lost = changed(run, tmp_path / "lost.pt", clip={"key": sampler.clip.key, "file": "/nowhere.safetensors"})
    with pytest.raises(UserError, match=r"clip=tiny .* no longer in /nowhere.safetensors.*clip.checkpoint=FILE"):
        open_sampler(lost, CPU)
    found = open_sampler(lost, CPU, str(elsewhere))
    assert torch.equal(found.image(found.condition(PROMPT), 3), sampler.image(sampler.condition(PROMPT), 3))
    with pytest.raises(UserError, match=r"clip.checkpoint=/no.pt does not exist"):
        open_sampler(lost, CPU, "/no.pt")


def test_another_clip_is_refused(run, sampler, tmp_path):
    judge = from_checkpoint(run.checkpoint).judge
    with pytest.raises(UserError, match="does not fit clipgan-tiny"):  # of another architecture
        open_sampler(from_checkpoint(run.checkpoint), CPU, judge["file"])
    weights = load_file(sampler.clip.file)
    save_file({name: weight + 1 for name, weight in weights.items()}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="other weights than the run used"):
        open_sampler(from_checkpoint(run.checkpoint), CPU, str(tmp_path / "other.safetensors"))
    unknown = changed(run, tmp_path / "old.pt", clip=None)  # of a run that did not write its CLIP down
    with pytest.raises(UserError, match=r"not recorded.*clip.checkpoint=FILE"):
        open_sampler(unknown, CPU)
    assert open_sampler(unknown, CPU, str(sampler.clip.file)).clip.key == sampler.clip.key


def test_a_generator_that_does_not_fit_is_one_message(run, tmp_path):
    content = load_checkpoint(run.checkpoint, CPU)
    content["config"]["model"]["w_dim"] = 32
    with pytest.raises(UserError, match=r"do not fit: .*size mismatch"):
        open_sampler(changed(run, tmp_path / "other.pt", config=content["config"]), CPU)
