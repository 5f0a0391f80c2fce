"""A trained generator from a file: the configuration that comes with the file is data, and brings in nothing else."""

import importlib.util
import json

import mlflow
import pytest
import torch
from omegaconf import OmegaConf

from clipgan.base.errors import UserError
from clipgan.engine.checkpoint_file import load_checkpoint, save_checkpoint
from clipgan.inputs.encoders.tiny_clip import MODEL_CONFIGS, TINY_MODEL
from clipgan.sampling.sampler import open_sampler
from clipgan.sampling.source import from_checkpoint, from_model

CPU = torch.device("cpu")
EVIL = """
open({trace!r}, "w").close()
from transformers import PreTrainedTokenizer
class Evil(PreTrainedTokenizer):
    pass
"""


@pytest.fixture
def directory_with_code(tmp_path):
    """A model's directory whose tokenizer is Python: open_clip and transformers would run it, and it leaves `ran`."""
    folder = tmp_path / "model"
    folder.mkdir()
    model = json.loads(MODEL_CONFIGS[TINY_MODEL].read_text())
    model["text_cfg"] |= {"hf_tokenizer_name": "x", "tokenizer_kwargs": {"trust_remote_code": True}}
    files = {
        "open_clip_config.json": {"model_cfg": model},
        "tokenizer_config.json": {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", None]}},
        "config.json": {"model_type": "bert"},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "evil.py").write_text(EVIL.format(trace=str(folder / "ran")))
    return folder


def with_config(run, path, key, value):
    """A copy of the run's checkpoint with another value in its configuration, and a true checksum."""
    content = load_checkpoint(run.checkpoint, CPU)
    OmegaConf.update(config := OmegaConf.create(content["config"]), key, value)
    save_checkpoint(path, content | {"config": OmegaConf.to_container(config, resolve=False)})
    return path


@pytest.mark.parametrize("kind", ["local-dir", "hf-hub"])
def test_a_checkpoint_that_names_a_model_with_code_runs_nothing(run, tmp_path, directory_with_code, kind):
    path = with_config(run, tmp_path / "checkpoint-000001.pt", "clip.model", f"{kind}:{directory_with_code}")
    with pytest.raises(UserError, match=rf"clip\.model={kind}:.* is not a model of open_clip"):
        open_sampler(from_checkpoint(path), CPU)
    assert not (directory_with_code / "ran").exists()


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="transformers is not here")
def test_the_directory_does_have_code_that_would_run(directory_with_code):
    import open_clip

    with pytest.raises(NotImplementedError):  # the class lacks its methods, but its module has run
        open_clip.get_tokenizer(f"local-dir:{directory_with_code}")
    assert (directory_with_code / "ran").exists()


def test_a_logged_model_that_names_a_model_with_code_runs_nothing(run, tmp_path, directory_with_code):
    mlflow.set_tracking_uri(run.tracking_uri)
    folder = mlflow.artifacts.download_artifacts(run.model, dst_path=str(tmp_path / "logged"))
    [path] = (tmp_path / "logged").rglob("config.yaml")
    config = OmegaConf.load(path)
    config.clip.model = f"local-dir:{directory_with_code}"
    OmegaConf.save(config, path)
    with pytest.raises(UserError, match=r"clip\.model=local-dir:.* is not a model of open_clip"):
        open_sampler(from_model(path.parent, folder), CPU)
    assert not (directory_with_code / "ran").exists()


@pytest.mark.parametrize(("key", "value"), [
    ("clip.name", "${oc.env:CLIPGAN_TEST_SECRET}"),
    ("metrics.objectives", ["${oc.env:CLIPGAN_TEST_SECRET}"]),
])  # fmt: skip
def test_a_checkpoint_cannot_read_the_environment(run, tmp_path, monkeypatch, key, value):
    monkeypatch.setenv("CLIPGAN_TEST_SECRET", "hunter2")
    path = with_config(run, tmp_path / "checkpoint-000001.pt", key, value)
    with pytest.raises(UserError, match=r"must not refer to anything") as caught:
        from_checkpoint(path)
    assert "hunter2" not in str(caught.value)
