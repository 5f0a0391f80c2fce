"""What a person is told of a run."""

import shlex
from pathlib import Path

import pytest

from clipgan.base.installed import train_command
from clipgan.config import flatten
from clipgan.config.user_command import UserCommand
from clipgan.tracking.run_description import Origin, description, run_name, to_show
from tests.helpers import make_config


@pytest.mark.parametrize(
    ("overrides", "swept", "name"),
    [
        ([], (), "symmetric h=0.5 shapes 32px"),
        (["h=2", "clip=ViT-B32"], ("h=2",), "h=2 symmetric"),
        (["loss=lafite", "clip=ViT-L14@336"], ("loss=lafite", "clip='ViT-L14@336'"), "clip=ViT-L14@336 lafite"),
        (["C_it=1.25", "seed=1"], ("C_it=1.25", "+seed=1"), "C_it=1.25 seed=1 symmetric"),
        (["C_ii=0.5"], ("C_ii=0.731289471234", "seed=1234567"), "C_ii=0.731289 seed=1234567 symmetric"),
        (["model=large"], ("model=large", "augment=ada"), "model=large augment=ada symmetric"),
        (["task=simclr", "pairs=add_new_positive"], ("pairs=add_new_positive",), "add_new_positive"),
        (["task=simclr"], ("batch=64",), "batch=64 plain"),
        (["task=simclr", "data=emoji"], (), "plain emoji 32px"),
    ],
)
def test_a_name_says_what_varies_first_and_a_single_run_says_its_data(overrides, swept, name):
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
    nearby = UserCommand(("h=2",), run_dir=Path.cwd() / "runs" / "a").here()
    assert nearby.resumed().split()[-1] == "hydra.run.dir=runs/a"  # on the terminal
    timed = description(make_config("budget=seconds", "seconds=90"), Origin(), "fid5k")
    assert "seed 0, for 90 seconds of training, 25000 kimg at most.\n" in timed
    simclr = make_config("task=simclr", "epochs=3")
    interrupted = Origin(UserCommand(run_dir=Path("/run")))
    assert "To go on where it was interrupted:\n" in description(simclr, interrupted, "linear_acc")
    lines = description(simclr, Origin(), "linear_acc").split("\n\n")
    assert lines[0].startswith("An encoder pretrained by SimCLR: ")
    assert lines[0].endswith(" for 3 epochs.")
    assert lines[1:] == ["`linear_acc` against epochs is its objective, `linear_acc_best` the best so far."]


def test_the_parameters_begin_with_what_a_person_compares_and_repeat_nothing():
    config = make_config("h=2", "C_it=1", "model.w_dim=32")
    shown = to_show(flatten(config) | {"fid_key": "fid5k"}, ("model.w_dim=32", "+loss=symmetric"))
    assert list(shown)[:5] == ["model.w_dim", "loss.name", "h", "C_it", "C_ii"]
    assert None not in shown.values()
    assert "threads" not in shown  # it changes no metric
    assert "threads" in to_show(flatten(config), ("threads=1",))
    assert "loss.heterologous" not in shown  # the structure's ${h}
    assert (shown["S.CLIP"], shown["fid_key"]) == (2.0, "fid5k")
    other = make_config("loss.heterologous=0.25")
    assert to_show(flatten(other), ())["loss.heterologous"] == 0.25
