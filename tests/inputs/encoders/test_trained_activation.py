"""What is said of weights that may have been trained with another activation than the model computes."""

import json
import warnings

import open_clip
import pytest
import torch

from clipgan.config import ClipConfig
from clipgan.inputs.encoders.tiny.tiny_clip import MODEL_CONFIGS, TINY_MODEL, build_clip, register_tiny_model
from clipgan.inputs.encoders.trained_activation import say_activation
from clipgan.tasks.gan.preparation import prepare
from tests.helpers import make_config
from tests.tiny import tiny

QUICK = "clipgan-test-quickgelu"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "b32.pt"
    torch.save({"weight": torch.zeros(1)}, path)
    return path


def test_a_state_dict_does_not_tell_and_the_line_says_what_to_write(file, capsys):
    config = make_config("clip=ViT-B32", f"clip.checkpoint={file}").clip
    say_activation(config)
    said = capsys.readouterr().out
    assert said.startswith(f"clip.checkpoint={file} does not say its activation, and ViT-B-32-quickgelu computes Quick")
    overrides = said.partition(" write ")[2].split()
    assert overrides == ["clip=open_clip", "clip.name=ViT-B-32", f"clip.checkpoint={file}"]
    other = make_config(*overrides).clip
    assert (other.model, other.checkpoint) == ("ViT-B-32", str(file))
    say_activation(other)
    assert capsys.readouterr().out == ""


def test_the_line_of_a_judge_changes_the_judge(file, capsys):
    judge = make_config("clip@metrics.judge=ViT-B32", f"metrics.judge.checkpoint={file}").metrics.judge
    say_activation(judge, "metrics.judge")
    other = make_config(*capsys.readouterr().out.partition(" write ")[2].split()).metrics.judge
    assert (other.model, other.checkpoint) == ("ViT-B-32", str(file))


def test_nothing_is_said_where_the_question_does_not_arise(file, tmp_path, capsys):
    archive = tmp_path / "openai.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 3), torch.zeros(1, 2)), archive)
    say_activation(ClipConfig(model="ViT-B-32-quickgelu", pretrained="openai"))
    say_activation(ClipConfig(model="ViT-B-32-quickgelu", checkpoint=str(archive)))
    say_activation(ClipConfig(model="ViT-B-32", checkpoint=str(file)))
    say_activation(ClipConfig(model=TINY_MODEL, checkpoint=str(file)))
    assert capsys.readouterr().out == ""


def test_a_preparation_says_it_once_for_each_clip(cache_dir, tmp_path, capsys):
    register_tiny_model()
    architecture = tmp_path / f"{QUICK}.json"
    architecture.write_text(json.dumps({**json.loads(MODEL_CONFIGS[TINY_MODEL].read_text()), "quick_gelu": True}))
    open_clip.add_model_config(architecture)
    for name in ("guide", "judge"):
        torch.save(build_clip(QUICK).state_dict(), tmp_path / f"{name}.pt")
    prepare(
        make_config(
            *(text for text in tiny(cache_dir) if not text.startswith(("clip.", "metrics.judge"))),
            "clip=open_clip", f"clip.name={QUICK}", f"clip.checkpoint={tmp_path / 'guide.pt'}",
            "clip@metrics.judge=open_clip", f"metrics.judge.name={QUICK}",
            f"metrics.judge.checkpoint={tmp_path / 'judge.pt'}",
        ),
        torch.device("cpu"),
    )  # fmt: skip
    lines = [line for line in capsys.readouterr().out.splitlines() if "QuickGELU" in line]
    assert [line.split()[0] for line in lines] == [
        f"clip.checkpoint={tmp_path / 'guide.pt'}", f"metrics.judge.checkpoint={tmp_path / 'judge.pt'}"
    ]  # fmt: skip
