"""Tensors out of TorchScript archives: the same as torch reads, and nothing of the file is run."""

import pickle
import warnings
import zipfile

import open_clip
import pytest
import torch

from clipgan.base.errors import UserError
from clipgan.inputs.encoders.tiny.tiny_clip import TINY_MODEL, register_tiny_model
from clipgan.inputs.encoders.torchscript import is_torchscript, read_torchscript
from clipgan.inputs.encoders.weights import read_state_dict
from tests.helpers import Payload


def save_archive(module, path, *inputs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, its archives of published weights stay
        torch.jit.save(torch.jit.trace(module, inputs, check_trace=False), path)


def test_a_clip_in_an_archive_has_the_tensors_that_torch_reads(tmp_path):
    register_tiny_model()
    torch.manual_seed(0)
    model = open_clip.CLIP(**open_clip.get_model_config(TINY_MODEL)).eval().half().float()
    model.visual.half()  # archives mix types, as OpenAI's do
    model.visual.float()
    path = tmp_path / "clip.pt"
    save_archive(model, path, torch.zeros(1, 3, 32, 32), torch.zeros(1, 24, dtype=torch.int64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = torch.jit.load(path).state_dict()
    assert is_torchscript(path)
    read = read_torchscript(path)
    assert set(expected) <= set(read)
    for name, value in expected.items():
        assert read[name].dtype == value.dtype
        assert torch.equal(read[name], value)
    state = read_state_dict(path, "clip.checkpoint")
    assert set(state) == set(model.state_dict())


def test_views_halves_and_empty_tensors(tmp_path):
    module = torch.nn.Linear(4, 3)
    module.weight = torch.nn.Parameter(torch.arange(12.0).view(4, 3).t())  # a transposed view
    module.register_buffer("rough", torch.arange(3.0).half())
    module.register_buffer("empty", torch.empty(0))
    save_archive(module, tmp_path / "a.pt", torch.zeros(1, 4))
    read = read_torchscript(tmp_path / "a.pt")
    assert torch.equal(read["weight"], module.weight)
    assert read["rough"].tolist() == [0, 1, 2]
    assert read["rough"].dtype == torch.float16
    assert read["empty"].shape == (0,)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps(Payload(), protocol=2), r"it names __builtin__\.setattr"),
        (b"ctorch\nload\n(S'x'\ntR.", r"it names torch\.load, which a file of weights does not need"),
        (b"garbage", "cannot be read as a weights file"),
        (
            b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
            b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQK\x00K\xff\x85K\x01\x85\x89NtR.",
            "out of bounds",
        ),
    ],
)
def test_an_archive_runs_nothing(tmp_path, content, words):
    path = tmp_path / "bad.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", content)
        archive.writestr("a/constants.pkl", b"")
        archive.writestr("a/data/0", bytes(4))
    with pytest.raises(
        UserError, match=rf"clip\.checkpoint=.*bad\.pt cannot be read as a weights file.*{words}|{words}"
    ):
        read_state_dict(path, "clip.checkpoint")
    assert not Payload.executed
