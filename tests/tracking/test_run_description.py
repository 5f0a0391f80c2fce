"""What a person is told of a run."""

import shlex
from pathlib import Path

import pytest

from clipgan.base.installed import train_command
from clipgan.config.user_command import UserCommand
from clipgan.tracking.run_description import Origin, description, run_name
from tests.helpers import make_config


@pytest.mark.parametrize(
    ("overrides", "swept", "name"),
    [
        ([], (), "symmetric h=0.5 tiny"),
        (["h=2", "clip=ViT-B32"], ("h=2",), "symmetric h=2 ViT-B32"),
        (["loss=lafite", "clip=ViT-L14@336"], ("loss=lafite", "clip='ViT-L14@336'"), "lafite h=0.5 ViT-L14@336"),
        (["C_it=1.25", "seed=1"], ("C_it=1.25", "+seed=1"), "symmetric h=0.5 C_it=1.25 seed=1 tiny"),
        (["C_ii=0.5"], ("C_ii=0.731289471234", "seed=1234567"), "symmetric h=0.5 C_ii=0.731289 seed=1234567 tiny"),
        (["model=large"], ("model=large", "augment=ada"), "symmetric h=0.5 model=large augment=ada tiny"),
        (["task=simclr", "pairs=add_new_positive"], ("pairs=add_new_positive",), "add_new_positive tiny"),
        (["task=simclr"], ("batch=64",), "plain batch=64 tiny"),
    ],
)
def test_a_name_says_structure_what_is_swept_and_backbone(overrides, swept, name):
    assert run_name(make_config(*overrides), swept) == name


def test_a_long_name_is_cut_to_what_mlflow_takes():
    assert len(run_name(make_config(), ("init=" + "x" * 400,))) == 250


def test_a_description_says_what_a_run_is_and_how_it_goes_on():
    config = make_config("loss=asymmetric", "h=2", "kimg=3")
    command = UserCommand(("h=2",), run_dir=Path("/runs/a b"))
    lines = description(config, Origin(command, ("h=2", "seed=1"), "id"), "fid5k").split("\n\n")
    assert lines == [
        "A text-to-image GAN: loss structure asymmetric with h = 2, model tiny, guided by CLIP tiny, on shapes at"
        " 32 x 32 pixels, seed 0, for 3 kimg. A trial of the sweep that is its parent run, with `h=2 seed=1`.",
        "To go on, after its end with more kimg:",
        "    " + shlex.join([*train_command(), "h=2", "resume=auto", "hydra.run.dir='/runs/a b'"]),
        "`fid5k` against kimg is its objective, `fid5k_best` the best so far. `samples-*.png` are its sample grids.",
    ]
    timed = description(make_config("budget=seconds", "seconds=90"), Origin(), "fid5k")
    assert "seed 0, for 90 seconds of training, 25000 kimg at most.\n" in timed
    simclr = make_config("task=simclr", "epochs=3")
    interrupted = Origin(UserCommand(run_dir=Path("/run")))
    assert "To go on where it was interrupted:\n" in description(simclr, interrupted, "linear_acc")
    lines = description(simclr, Origin(), "linear_acc").split("\n\n")
    assert lines[0].startswith("An encoder pretrained by SimCLR: ")
    assert lines[0].endswith(" for 3 epochs.")
    assert lines[1:] == ["`linear_acc` against epochs is its objective, `linear_acc_best` the best so far."]
