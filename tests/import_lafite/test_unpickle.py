"""What the restricted reader takes, and that nothing of a pickle is run."""

import io
import math
import os
import pickle

import numpy as np
import pytest
import torch

from clipgan.base.errors import UserError
from clipgan.engine.checkpoint_file import load_checkpoint
from clipgan.import_lafite.__main__ import import_lafite, main
from clipgan.import_lafite.unpickle import read_pickle
from tests.helpers import Payload
from tests.import_lafite.conftest import public_networks
from tests.import_lafite.pickles import EasyDict, Persistent, build, dump

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
)
def test_anything_else_is_refused_and_not_run(tmp_path, monkeypatch, content, words):
    monkeypatch.chdir(tmp_path)
    path = dump({"G_ema": content}, tmp_path / "bad.pkl")
    with pytest.raises(UserError, match=f"bad.pkl is not read: .*{words}.*no code in it was run"):
        import_lafite(path, tmp_path / "out.pt", [])
    assert {file.name for file in tmp_path.iterdir()} == {"bad.pkl"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"content": 1, "zipped": True}, "not read: it is a zip, such as torch.save writes, and not LAFITE's network"),
        ({"content": 1, "zipped": False}, "holds a number, as old files of torch.save begin with, not the networks"),
    ],
)
def test_a_file_of_torch_save_is_told_for_what_it_is(tmp_path, content, words):
    torch.save(content, tmp_path / "a.pkl", _use_new_zipfile_serialization=content["zipped"])
    with pytest.raises(UserError, match=words):
        read_pickle(tmp_path / "a.pkl")


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
)
def test_other_networks_are_refused(tmp_path, content, words):
    path = dump(content() if callable(content) else content, tmp_path / "other.pkl")
    with pytest.raises(UserError, match=words):
        import_lafite(path, tmp_path / "out.pt", ["clip=tiny"])
    assert not (tmp_path / "out.pt").exists()


class Pair(Persistent):
    pass


class SynthesisInput(Persistent):
    def __init__(self):
        super().__init__()
        self.size = np.array([36, 36])
        self.register_buffer("freqs", torch.ones(4, 2))


class SynthesisNetwork(Persistent):
    def __init__(self):
        super().__init__()
        self.input = SynthesisInput()


class Generator(Persistent):
    """What a StyleGAN3 has that tells it from others."""

    def __init__(self):
        super().__init__()
        self.c_dim, self.img_resolution = 0, 16
        self.synthesis = SynthesisNetwork()


def without_text():
    """A StyleGAN2-ADA of classes: LAFITE's networks, of which each layer has its text network taken out."""
    networks = public_networks(resolution=8)
    for name in ("G", "G_ema"):
        for block in networks[name].synthesis.children():
            for layer in block.children():
                for key in [key for key, _ in layer.named_children() if key[-1].isdigit()]:
                    delattr(layer, key)
        networks[name].c_dim = networks[name].mapping.c_dim = 10
    return networks


def test_a_text_and_half_a_pickle_are_told_for_what_they_are(tmp_path):
    whole = dump(public_networks(resolution=8), tmp_path / "whole.pkl").read_bytes()
    for content, words in ((whole[: len(whole) // 2], "its end is missing"), ("ça\n".encode(), "it is no pickle"),
                           (b"the cat\n", "it is no pickle")):  # fmt: skip
        (tmp_path / "other.pkl").write_bytes(content)
        with pytest.raises(UserError, match=words):
            read_pickle(tmp_path / "other.pkl")


def test_another_network_is_told_for_what_it_is(tmp_path):
    stylegan3 = {name: build(Generator) for name in ("G", "G_ema")} | {"D": public_networks(resolution=8)["D"]}
    for content, words in ((stylegan3, "is a StyleGAN3: it takes no text"), (without_text(), "a StyleGAN2 whose")):
        with pytest.raises(UserError, match=words):
            import_lafite(dump(content, tmp_path / "other.pkl"), tmp_path / "out.pt", ["clip=tiny"])
    (tmp_path / "tf.pkl").write_bytes(b"cdnnlib.tflib.network\nNetwork\n.")
    with pytest.raises(UserError, match="is a StyleGAN of TensorFlow"):
        import_lafite(tmp_path / "tf.pkl", tmp_path / "out.pt", [])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    networks = public_networks(resolution=8)
    networks["G_ema"].synthesis.b4.conv1.weight[0, 0, 0, 0] = value
    with pytest.raises(UserError, match=r"G_ema\.synthesis\.b4\.conv1\.weight has 1 value that is NaN or infinite"):
        import_lafite(dump(networks, tmp_path / "bad.pkl"), tmp_path / "out.pt", ["clip=tiny"])


def test_nested_sharing_is_refused(tmp_path):
    module = Pair()
    for _ in range(60):  # 2^60 modules, if each were visited
        module, below = Pair(), module
        module.a = module.b = below
    networks = public_networks(resolution=8)
    networks["G"].extra = module
    with pytest.raises(UserError, match="a Pair occurs twice in G"):
        import_lafite(dump(networks, tmp_path / "bad.pkl"), tmp_path / "out.pt", ["clip=tiny"])


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (512, "name that CLIP: clip=ViT-B16, clip=ViT-B32$"),
        (768, "name that CLIP: clip=ViT-L14@336$"),
        (640, "clip=open_clip clip.name=NAME, where NAME has 640 dimensions, such as .+"),
        (20, "open_clip has no model of 20 dimensions"),
    ],
)
def test_the_clips_that_fit_a_pickle_are_named(tmp_path, width, words):
    path = dump(public_networks(resolution=8, f_dim=width), tmp_path / "wide.pkl")
    with pytest.raises(UserError, match=words):
        import_lafite(path, tmp_path / "out.pt", ["clip=tiny"])


def test_the_wrong_clip_and_an_existing_file_are_refused(public, tmp_path):
    with pytest.raises(UserError, match=r"clip=ViT-B32 has 512 dimensions, but .* trained with a CLIP of 128"):
        import_lafite(public[1], tmp_path / "out.pt", [])
    (tmp_path / "out.pt").write_text("precious")
    with pytest.raises(UserError, match=r"out\.pt exists already"):
        import_lafite(public[1], tmp_path / "out.pt", ["clip=tiny"])
    assert (tmp_path / "out.pt").read_text() == "precious"
    with pytest.raises(UserError, match=r"nowhere/out\.pt cannot be written"):
        import_lafite(public[1], tmp_path / "nowhere" / "out.pt", ["clip=tiny"])


@pytest.mark.parametrize("override", ["resolution=32", "model.channel_base=256", "model=large"])
def test_the_pickle_says_which_networks_it_has(public, tmp_path, override):
    with pytest.raises(UserError, match=rf"{override} is not allowed: the networks in .* have "):
        import_lafite(public[1], tmp_path / "out.pt", ["clip=tiny", override])


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
