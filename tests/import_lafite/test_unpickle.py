"""What the restricted reader takes, and that nothing of a pickle is run."""

import io
import os
import pickle

import pytest
import torch

from clipgan.base.errors import UserError
from clipgan.engine.checkpoint_file import load_checkpoint
from clipgan.import_lafite.__main__ import import_lafite, main
from clipgan.import_lafite.unpickle import read_pickle
from tests.helpers import Payload
from tests.import_lafite.conftest import public_networks
from tests.import_lafite.pickles import EasyDict, dump

CPU = torch.device("cpu")
GONE = object()  # instead of an attribute's value


class Call:
    """Pickles as a call of anything."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


class Storage:
    """Pickles as a tensor's storage does, with any content."""

    def __init__(self, content):
        self.content = content

    def __reduce__(self):
        return (torch.storage._load_from_bytes, (self.content,))


@pytest.fixture(autouse=True)
def not_executed():
    Payload.executed = False
    yield
    assert not Payload.executed


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_every_tensor_of_a_pickle_is_read_as_it_is(tmp_path, protocol):
    networks = public_networks(resolution=8, freeze=4)
    networks["D"].b8.conv0.weight = networks["D"].b8.conv0.weight.to(memory_format=torch.channels_last)
    content = read_pickle(dump(networks, tmp_path / "a.pkl", protocol))
    for name in ("G", "D", "G_ema"):
        read, expected = dict(content[name].tensors()), networks[name].state_dict()
        assert read.keys() == expected.keys()
        for key, value in expected.items():
            assert torch.equal(read[key], value), key
    assert content["G"].attributes["_init_kwargs"]["synthesis_kwargs"]["conv_clamp"] == 256


def torch_file(content):
    with io.BytesIO() as file:
        torch.save(content, file, _use_new_zipfile_serialization=False)
        return file.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (Call(os.system, "touch executed"), r"names (posix|nt)\.system"),
        (Call(eval, "open('executed', 'w')"), r"names builtins\.eval"),
        (Payload(), "names builtins.setattr"),
        ({"G": EasyDict(a=[Call(exec, "open('executed', 'w')")])}, r"names builtins\.exec"),
        (Storage(pickle.dumps(Call(os.system, "touch executed"), 2)), "something other than numbers"),
        (Storage(torch_file(Payload())), "something other than numbers"),
        (Storage(torch_file({"a": Call(os.system, "touch executed")})), "something other than numbers"),
        (Storage(torch_file([1, 2])), "storage is a list"),
        (torch.nn.Linear(2, 2), r"names torch\.nn\.modules\.linear\.Linear"),
        (Call(io.open, "executed", "w"), r"names _?io\.open"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_and_not_run(tmp_path, monkeypatch, content, words):
    monkeypatch.chdir(tmp_path)
    path = dump({"G_ema": content}, tmp_path / "bad.pkl")
    with pytest.raises(UserError, match=f"bad.pkl is not read: .*{words}.*no code in it was run"):
        import_lafite(path, tmp_path / "out.pt", [])
    assert {file.name for file in tmp_path.iterdir()} == {"bad.pkl"}


def test_a_view_beyond_its_storage_is_refused(tmp_path):
    storage = torch.zeros(4).untyped_storage()
    arguments = (torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True), 0, (9,), (1,))
    path = dump({"G": Call(torch._utils._rebuild_tensor_v2, *arguments, False, {})}, tmp_path / "bad.pkl")
    with pytest.raises(UserError, match="out of bounds"):
        read_pickle(path)


def without(name):
    networks = public_networks(resolution=8)
    del networks[name]
    return networks


def changed(path, **attributes):
    networks = public_networks(resolution=8)
    module = networks[path[0]]
    for name in path[1:]:
        module = getattr(module, name)
    for name, value in attributes.items():
        if value is GONE:
            delattr(module, name)
        elif isinstance(value, torch.Tensor):
            getattr(module, name).copy_(value)
        else:
            setattr(module, name, value)
    return networks


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1], "holds a list"),
        ({"G": 1}, "no network G: a LAFITE pickle holds G, D and G_ema"),
        (lambda: without("D"), "no network D"),
        (lambda: changed(["G", "mapping"], c_dim=7), r"G\.mapping has c_dim=7; only 0 is supported"),
        (lambda: changed(["D", "b4"], use_fts=False), r"D\.b4 has use_fts=False; only True"),
        (lambda: changed(["G", "synthesis", "b4", "conv1"], structure=0), r"b4\.conv1 has structure=0; only 1 or 2"),
        (lambda: changed(["D", "b8"], resample_filter=torch.ones(4, 4)), r"D\.b8\.resample_filter is another filter"),
        (lambda: changed(["G_ema"], _init_kwargs=GONE), r"not built as LAFITE's are \(KeyError\('_init_kwargs'\)\)"),
        (lambda: changed(["G_ema"], z_dim="${oc.env:HOME}"), "z_dim is not a number but a str"),
        (lambda: changed(["D", "b4"], mbstd=None), r"KeyError\('mbstd'\)"),
        (lambda: changed(["G", "synthesis", "b4", "torgb"], bias=None), r"generator\) does not fit .*blocks\.4\.rgb"),
        (lambda: changed(["G_ema", "synthesis", "b4", "conv1"], pre_0=None), "a StyleGAN2 whose layers take no text"),
    ],
)  # fmt: skip
def test_other_networks_are_refused(tmp_path, content, words):
    path = dump(content() if callable(content) else content, tmp_path / "other.pkl")
    with pytest.raises(UserError, match=words):
        import_lafite(path, tmp_path / "out.pt", ["clip=tiny"])
    assert not (tmp_path / "out.pt").exists()


def test_the_wrong_clip_and_an_existing_file_are_refused(public, tmp_path):
    with pytest.raises(UserError, match=r"clip=ViT-B32 has 512 dimensions, but .* trained with a CLIP of 128"):
        import_lafite(public[1], tmp_path / "out.pt", [])
    (tmp_path / "out.pt").write_text("precious")
    with pytest.raises(UserError, match=r"out\.pt exists already"):
        import_lafite(public[1], tmp_path / "out.pt", ["clip=tiny"])
    assert (tmp_path / "out.pt").read_text() == "precious"
    with pytest.raises(UserError, match=r"nowhere/out\.pt cannot be written"):
        import_lafite(public[1], tmp_path / "nowhere" / "out.pt", ["clip=tiny"])


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # which it changes, and which is put back after the test

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["import_lafite", *arguments])
        main()

    return run


def test_the_command(public, command, tmp_path, capsys):
    command(str(public[1]), "lafite.pt", "clip=tiny")
    said = capsys.readouterr().out
    assert "lafite.pt: LAFITE at 16 x 16" in said
    assert "train.py model=lafite resolution=16 model.z_dim=20" in said
    assert said.strip().endswith("clip=tiny init=lafite.pt")
    assert load_checkpoint(tmp_path / "lafite.pt", CPU)["config"]["model"]["lafite"]["joined_to"] == 8


def test_a_mistake_is_one_message(command):
    with pytest.raises(SystemExit, match=r"^nowhere\.pkl does not exist; give a network pickle of LAFITE$"):
        command("nowhere.pkl", "lafite.pt")
