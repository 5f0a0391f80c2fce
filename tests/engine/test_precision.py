"""Networks in half precision: their results stay near float32, and weights stay in float32."""

import math

import pytest
import torch
from torch import nn

from clipgan.base.errors import UserError
from clipgan.engine.precision import choose_encoder_precision, choose_precision, fastest_of_gpu, with_precisions
from tests.helpers import make_config
from tests.numeric import rounding

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")
STEPS = 8
LAYERS = 20  # one after the other, of G, D and an encoder: each rounds its input
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@pytest.fixture
def make_training(make_training):
    return lambda precision, *more: make_training(f"precision={precision}", *more)


def dtypes_of_convolutions(training):
    """The types that convolutions of both networks put out in a step, regularisers included."""
    seen = set()

    def note(module, args, output):
        seen.add((output if torch.is_tensor(output) else output[0]).dtype)

    for network in (training.state.generator, training.state.discriminator):
        for module in network.modules():
            if hasattr(module, "padding") and not isinstance(module, nn.Conv2d):
                module.register_forward_hook(note)
    training.step(0)
    return seen


@pytest.mark.parametrize("precision", DTYPES)
def test_convolutions_use_the_precision_and_all_state_is_float32(make_training, precision):
    training = make_training(precision)
    assert dtypes_of_convolutions(training) == {DTYPES[precision]}
    state = training.state
    kept = [*state.generator.parameters(), *state.discriminator.parameters(), *state.generator_ema.parameters()]
    kept += [value for entry in state.generator_optimizer.state.values() for value in entry.values()]
    assert {tensor.dtype for tensor in kept} == {torch.float32}


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_training_stays_near_float32(make_training, precision):
    """Each of some steps from float32's weights, data and draws; and the weights after as many steps of its own."""
    half, full, alone = make_training(precision), make_training("fp32"), make_training(precision)
    for training in (half, full):
        for optimizer in (training.state.generator_optimizer, training.state.discriminator_optimizer):
            optimizer.param_groups[0]["eps"] = 1e-2  # else Adam's first steps are the gradient's signs
    for step in range(STEPS):
        half.state.load_state_dict(full.state.state_dict() | {"scaler": half.state.scaler.state_dict()})
        ours, theirs, own = half.step(step), full.step(step), alone.step(step)
        assert ours.keys() == theirs.keys() == own.keys()
        for name in theirs.keys() - {"logits/real_sign"}:  # a sign turns by any rounding
            near = rounding(LAYERS, DTYPES[precision])
            assert float(ours[name]) == pytest.approx(float(theirs[name]), rel=near, abs=near), name
            assert math.isfinite(float(own[name])), name
    for training, bound in ((half, 2 * full.config.model.g_lr), (alone, 2 * STEPS * full.config.model.g_lr + 1e-2)):
        moved = [float((a - b).detach().abs().max()) for a, b in zip(
            training.state.generator.parameters(), full.state.generator.parameters(), strict=True)]  # fmt: skip
        assert 0 < max(moved) < bound


def test_fp16_skips_an_overflowing_step_and_halves_the_scale(make_training):
    training = make_training("fp16")
    state = training.state
    state.scaler.load_state_dict({**state.scaler.state_dict(), "scale": 2.0**40})
    before = [parameter.clone() for parameter in state.discriminator.parameters()]
    training.step(1)  # without regularisers
    assert all(torch.equal(a, b) for a, b in zip(before, state.discriminator.parameters(), strict=True))
    assert state.state_dict()["scaler"]["scale"] == 2.0**38  # D's step and G's


def test_auto_is_the_precision_in_this_processors_hardware():
    expected = "bf16" if torch.cpu._is_amx_tile_supported() else "fp32"
    assert choose_precision("auto", CPU).name == expected


@pytest.mark.exact
@pytest.mark.parametrize(
    ("capability", "fastest"),
    [((6, 1), "fp32"), ((7, 0), "fp16"), ((7, 5), "fp16"), ((8, 0), "bf16"), ((8, 9), "bf16"), ((10, 0), "bf16")],
)
def test_a_gpus_fastest_precision_follows_its_own_capability(capability, fastest):
    assert fastest_of_gpu(capability) == fastest


@pytest.mark.exact
def test_encoders_compute_in_float32_on_a_cpu_unless_asked_otherwise():
    assert choose_encoder_precision("auto", CPU) == "float32"
    for asked in ("float32", "mixed", "bfloat16"):
        assert choose_encoder_precision(asked, CPU) == asked


@pytest.mark.exact
def test_a_run_records_the_choice_instead_of_auto():
    chosen = with_precisions(make_config("clip.precision=mixed", "precision=bf16"), CPU)
    assert chosen.metrics.judge is not None
    assert (chosen.precision, chosen.clip.precision, chosen.resnet.precision) == ("bf16", "mixed", "float32")
    assert chosen.metrics.judge.precision == "float32"
    rough = with_precisions(make_config("metrics.judge.precision=bfloat16"), CPU)
    assert rough.metrics.judge is not None
    assert rough.metrics.judge.precision == "bfloat16"


@pytest.mark.exact
def test_a_judge_makes_no_steps():
    with pytest.raises(UserError, match=r"metrics\.judge\.precision=mixed is not allowed: .* auto \(float32\)"):
        make_config("metrics.judge.precision=mixed")


def test_a_step_with_mixed_encoders_stays_near_float32(make_training):
    mixed, full = (
        make_training("fp32", f"clip.precision={each}", f"resnet.precision={each}") for each in ("mixed", "float32")
    )
    spaces = mixed.objective.spaces
    assert spaces.resnet is not None
    for tower in (spaces.clip.tower, spaces.resnet.tower):
        assert {module.weight.dtype for module in tower.modules() if isinstance(module, nn.Conv2d)} == {torch.bfloat16}
    ours, theirs = mixed.step(0), full.step(0)
    near = rounding(LAYERS, torch.bfloat16)
    for name in theirs.keys() - {"logits/real_sign"}:
        assert float(ours[name]) == pytest.approx(float(theirs[name]), rel=near, abs=near), name
    assert ours["G/CLIP/it"] != theirs["G/CLIP/it"]


@pytest.mark.exact
def test_an_unsupported_precision_is_one_message():
    with pytest.raises(UserError, match=r"precision=tf32 is not allowed on device=cpu: it needs an NVIDIA GPU"):
        choose_precision("tf32", CPU)
    with pytest.raises(UserError, match=r"precision=half is not allowed: precision must be one of auto, fp32"):
        make_config("precision=half")


@pytest.mark.exact
def test_the_products_setting_is_restored():
    before = torch.backends.cudnn.allow_tf32
    with choose_precision("fp32", CPU).products():
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 == before
