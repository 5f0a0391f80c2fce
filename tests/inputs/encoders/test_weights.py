"""Reading weights files, and refusing those that do not fit."""

import pickle
import warnings

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet50

from clipgan.base.errors import UserError
from clipgan.inputs.encoders.tiny.tiny_clip import TINY_MODEL, build_clip, register_tiny_model
from clipgan.inputs.encoders.weights import SkipRandomInit, load_strictly, read_state_dict, unreachable


def linear():
    return nn.Linear(2, 3)


def save_archive(module, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.save(torch.jit.trace(module, torch.zeros(1, 2)), path)


def assert_same(state, expected):
    assert list(state) == list(expected)
    assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_safetensors_pickles_and_archives_hold_the_same_tensors(tmp_path):
    module = linear()
    expected = module.state_dict()
    save_file(dict(expected), tmp_path / "a.safetensors")
    torch.save(expected, tmp_path / "b.pt")
    torch.save(
        {"state_dict": {f"module.{name}": value for name, value in expected.items()}, "epoch": 3}, tmp_path / "c.pt"
    )
    save_archive(module, tmp_path / "d.pt")
    save_file(dict(expected), tmp_path / "renamed.pt")
    for name in ("a.safetensors", "b.pt", "c.pt", "d.pt", "renamed.pt"):
        state = read_state_dict(tmp_path / name, "clip.checkpoint")
        assert_same({key: state[key] for key in expected}, expected)
        assert len(state) == 2


def test_numbers_beside_the_weights_in_an_archive_are_left_out(tmp_path):
    module = linear()
    module.register_buffer("input_resolution", torch.tensor(224))
    save_archive(module, tmp_path / "a.pt")
    assert sorted(read_state_dict(tmp_path / "a.pt", "clip.checkpoint")) == ["bias", "weight"]


class Payload:
    executed = False

    def __reduce__(self):
        return (setattr, (Payload, "executed", True))


def test_pickled_code_is_not_run(tmp_path):
    with (tmp_path / "bad.pt").open("wb") as file:
        pickle.dump({"weight": Payload()}, file)
    torch.save({"weight": Payload()}, tmp_path / "worse.pt")
    for name in ("bad.pt", "worse.pt"):
        with pytest.raises(UserError, match=rf"clip.checkpoint=.*{name} cannot be .*: it holds more than tensors"):
            read_state_dict(tmp_path / name, "clip.checkpoint")
    assert not Payload.executed


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"not a zip", "cannot be read as a weights file"), (None, "does not exist; give a file with the weights")],
)
def test_damaged_and_missing_files(tmp_path, content, message):
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=f"resnet.checkpoint={path}.*{message}"):
        read_state_dict(path, "resnet.checkpoint")


def test_a_file_without_tensors(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    with pytest.raises(UserError, match="holds no tensors; give a file"):
        read_state_dict(tmp_path / "empty.pt", "clip.checkpoint")


def test_loading_casts_and_lets_a_number_be_a_vector():
    module = linear()
    module.register_parameter("logit_scale", nn.Parameter(torch.tensor(1.0)))
    state = {
        "weight": torch.ones(3, 2).half(),
        "bias": torch.zeros(3).half(),
        "logit_scale": torch.tensor([4.0]).half(),
    }
    load_strictly(module, state, "clip.checkpoint=x", "model")
    assert module.weight.dtype == torch.float32
    assert module.weight.tolist() == [[1, 1], [1, 1], [1, 1]]
    assert module.logit_scale.item() == 4.0


def test_a_parameter_that_is_not_finite_is_named():
    state = {"weight": torch.full((3, 2), float("nan")), "bias": torch.zeros(3)}
    with pytest.raises(UserError, match=r"clip\.checkpoint=x cannot be used: weight in it has a number that is not"):
        load_strictly(linear(), state, "clip.checkpoint=x", "model")


def test_the_first_differences_are_named():
    state = {"weight": torch.zeros(4, 2), "extra": torch.zeros(1)}
    with pytest.raises(UserError) as caught:
        load_strictly(linear(), state, "clip.checkpoint=x.pt", "ViT")
    assert str(caught.value) == (
        "clip.checkpoint=x.pt does not fit ViT: weight is [4, 2], ViT has [3, 2]; "
        "bias [3] is missing; extra [1] is not in ViT"
    )


def test_two_names_of_each_kind_of_difference_are_shown():
    prefixed = {f"clip.{k}": torch.zeros(1) for k in range(5)}
    with pytest.raises(UserError) as caught:
        load_strictly(nn.Sequential(linear(), linear()), prefixed, "clip.checkpoint=x.pt", "ViT")
    assert str(caught.value) == (
        "clip.checkpoint=x.pt does not fit ViT: 0.weight [3, 2] is missing; 0.bias [3] is missing; "
        "clip.0 [1] is not in ViT; clip.1 [1] is not in ViT, and 5 more"
    )


def test_an_adapter_is_to_be_merged():
    adapter = {"base_model.model.weight.lora_A.default.weight": torch.zeros(4, 2)}
    with pytest.raises(UserError, match=r"lora_A\.default\.weight .* is not in ViT.*: merge it into the weights"):
        load_strictly(linear(), adapter, "clip.checkpoint=x.pt", "ViT")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod."])
def test_what_wrappers_add_to_names_is_left_out(tmp_path, prefix):
    expected = linear().state_dict()
    torch.save({f"{prefix}{name}": value for name, value in expected.items()}, tmp_path / "a.pt")
    assert_same(read_state_dict(tmp_path / "a.pt", "clip.checkpoint"), expected)


def test_a_model_with_a_compiled_part_has_the_plain_names(tmp_path):
    module = nn.Sequential(linear(), linear())
    expected = module.state_dict()
    module[1] = torch.compile(module[1])
    assert "1._orig_mod.weight" in module.state_dict()
    torch.save(module.state_dict(), tmp_path / "a.pt")
    assert_same(read_state_dict(tmp_path / "a.pt", "clip.checkpoint"), expected)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_state_dict_may_be_nested(tmp_path, key):
    expected = linear().state_dict()
    torch.save({"epoch": 3, key: expected, "optimizer": {"state": {}}}, tmp_path / "a.pt")
    assert_same(read_state_dict(tmp_path / "a.pt", "clip.checkpoint"), expected)


def test_a_note_or_a_tensor_may_have_the_name_of_a_nest(tmp_path):
    path, tensor = tmp_path / "a.pt", torch.ones(2)
    for content in (
        {"a": tensor, "model": {"arch": "ViT-B-32"}},
        {"a": tensor, "model": tensor},
        {"state_dict": {"epoch": 3}, "model": {"a": tensor}},
    ):
        torch.save(content, path)
        assert torch.equal(read_state_dict(path, "clip.checkpoint")["a"], tensor)


def test_a_file_with_state_dicts_under_other_keys_names_them(tmp_path):
    state = linear().state_dict()
    torch.save({"G": state, "ema": state, "epoch": 3}, tmp_path / "a.pt")
    with pytest.raises(UserError, match="holds no tensors itself; those that it holds are under 'G', 'ema'; give a"):
        read_state_dict(tmp_path / "a.pt", "clip.checkpoint")


def test_an_unreachable_host_is_told_at_once():
    assert unreachable("http://127.0.0.1:9/weights.pt", timeout=2) is not None


@pytest.mark.parametrize("build", [lambda: build_clip(TINY_MODEL), lambda: build_clip("ViT-B-32"), resnet50])
def test_what_is_made_undrawn_and_loaded_is_the_same(build):
    """All that a state dict does not hold (a causal mask) is made as ever."""
    register_tiny_model()
    drawn = build()
    with SkipRandomInit():
        loaded = build()
    load_strictly(loaded, drawn.state_dict(), "a test", "the same")
    assert_same(dict(loaded.named_parameters()), dict(drawn.named_parameters()))
    assert_same(dict(loaded.named_buffers()), dict(drawn.named_buffers()))


def test_undrawn_draws_no_weights():
    before = torch.get_rng_state()
    with SkipRandomInit():
        nn.MultiheadAttention(8, 2)
        nn.Sequential(nn.Embedding(9, 8), nn.Linear(8, 8), nn.Conv2d(3, 8, 3))
        nn.init.normal_(torch.empty(8))
        nn.Parameter(torch.empty(8)).data.normal_()
    assert torch.equal(torch.get_rng_state(), before)
    nn.Linear(8, 8)
    assert not torch.equal(torch.get_rng_state(), before)
