"""A trained generator from a file: the configuration that comes with the file is data, and brings in nothing else."""

import importlib.util
import json

import mlflow
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file

from clipgan.base.errors import UserError
from clipgan.engine.checkpoint_file import load_checkpoint, save_checkpoint
from clipgan.inputs.encoders.tiny.tiny_clip import MODEL_CONFIGS, TINY_MODEL
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


def test_a_logged_model_that_names_a_model_with_code_runs_nothing(tracked_run, tmp_path, directory_with_code):
    folder = mlflow.artifacts.download_artifacts(tracked_run.model, dst_path=str(tmp_path / "logged"))
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


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("clip.json", b""),
        ("clip.json", b"[1]"),
        ("clip.json", b'{"key": "a"}'),
        ("clip.json", b"[" * 100_000),
        ("config.yaml", b"loss: [1"),
        ("config.yaml", b"\xff\x00"),
        ("config.yaml", b"- 1"),
        ("config.yaml", b"a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]\n"),  # a bomb
        ("config.yaml", b"a: !!python/object/apply:os.getcwd []\n"),
        ("generator.safetensors", b""),
        ("generator.safetensors", (2**62).to_bytes(8, "little") + b"{}"),
        ("generator.safetensors", None),
    ],
)
def test_a_damaged_model_of_mlflow_is_one_message(tmp_path, name, content):
    (tmp_path / "clip.json").write_text('{"key": "a", "file": "b"}')
    (tmp_path / "config.yaml").write_text("kimg: 1\n")
    save_file({"a": torch.zeros(1)}, tmp_path / "generator.safetensors")
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=r"the model in .* cannot be read \(.+\): log it again"):
        from_model(tmp_path, "generator")


@pytest.mark.parametrize("part", ["clip", "judge", "generator_ema"])
def test_a_checkpoint_whose_record_is_of_another_type_is_one_message(run, tmp_path, part):
    content = load_checkpoint(run.checkpoint, CPU)
    (content["state"] if part == "generator_ema" else content)[part] = 3
    save_checkpoint(tmp_path / "odd.pt", content)
    with pytest.raises(UserError, match=f"odd.pt has values of other types: {part}"):
        from_checkpoint(tmp_path / "odd.pt")


def test_a_generator_of_nan_is_refused(run):
    source = from_checkpoint(run.checkpoint)
    source.generator["mapping.w_average"].fill_(float("nan"))
    with pytest.raises(UserError, match="has weights that are NaN or infinite"):
        open_sampler(source, CPU)
