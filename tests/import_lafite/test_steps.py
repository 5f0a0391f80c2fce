"""Ten steps with LAFITE's networks and settings equal ten steps of an independent reference, in every tensor.

The reference computes in float64; ours in float64, where only a wrong formula can differ, and in float32, as a training
does.
"""

import copy
from dataclasses import dataclass, replace

import pytest
import torch
import torch.nn.functional as F

from clipgan.base.randomness import StepRandom
from clipgan.inputs.batches.batches import Batch
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.inputs.encoders.tiny.tiny_clip import build_clip, register_tiny_model, tiny_preprocess
from clipgan.models.losses.structure import active_terms
from clipgan.tasks.gan.objective import Objective
from clipgan.tasks.gan.spaces import FrozenSpaces
from clipgan.tasks.gan.state import new_state
from clipgan.tasks.gan.train_step import train_step
from tests.helpers import make_config
from tests.import_lafite.conftest import C, public_networks
from tests.import_lafite.pickles import dump
from tests.import_lafite.reference_step import Reference, Settings, noisy
from tests.import_lafite.test_images import converted, doubled
from tests.numeric import in_float32, in_float64

pytestmark = pytest.mark.numeric
CPU, COUNT, GROUP, STEPS = torch.device("cpu"), 8, 4, 10
COMPUTING = {torch.float32: in_float32, torch.float64: in_float64}
NETWORKS = ("generator", "generator_ema", "discriminator")
LAFITE = (
    "loss=lafite",
    "C_it=5",
    "batch=8",
    "model.ema_kimg=20",
    "model.r1_interval=4",
    "model.lafite.text_logit=process",
)


@dataclass
class Draws:
    """A step's random numbers for the reference: the same as the real step's."""

    random: StepRandom
    integers: dict[str, int]  # what the real step has chosen
    dtype: torch.dtype  # in which the real step draws

    def draw(self, name, *shape):
        with COMPUTING[self.dtype]():
            return self.random.rows(name, range(shape[0]))(shape).double()

    def integer(self, name):
        return self.integers[name]

    def halved(self):
        return replace(self, random=self.random.halves())


def make_pair(resolution, dtype, folder):
    """Our state, which computes in `dtype`, the reference with equal weights, and our objective."""
    torch.manual_seed(0)
    with COMPUTING[dtype]():
        networks = public_networks(resolution=resolution, change=8)
        state, settings = converted(dump(networks, folder / "a.pkl"), folder / "a.pt")
        own = [f"model.{key}={value}" for key, value in vars(settings.model).items() if isinstance(value, int | float)]
        config = make_config("model=lafite", *own, f"resolution={resolution}", "model.lafite.joined_to=8", "clip=tiny",
                             "model.pl_weight=2", "model.r1_gamma=10", *LAFITE)  # fmt: skip
        fresh = new_state(config, C, CPU)
        for name in NETWORKS:
            getattr(fresh, name).load_state_dict(getattr(state, name).state_dict())
        register_tiny_model()
        clip = FrozenClip(build_clip("clipgan-tiny"), "clipgan-tiny", tiny_preprocess("clipgan-tiny")).to(dtype=dtype)
        terms = active_terms(config)
        objective = Objective(config, [t for t in terms if t.phase == "G"], [t for t in terms if t.phase == "D"],
                              FrozenSpaces(clip, None, None, noisy_text=True))  # fmt: skip
    exact = copy.deepcopy(clip).double()

    def encode(images):
        mean, std = (getattr(exact.preprocess, name) for name in ("mean", "std"))
        return F.normalize(exact.backbone.encode_image(((images + 1) / 2 - mean) / std), dim=1)

    lafite = Settings(itd=5, itc=10, gamma=10, pl_weight=2, r1_interval=4, pl_interval=4, lr=config.model.g_lr,
                      ema_kimg=20, group=GROUP)  # fmt: skip
    with in_float64():
        return fresh, Reference(doubled(networks), encode, clip.preprocess.size, lafite), objective


def both_step(state, reference, objective, dtype, monkeypatch, steps=STEPS):
    """Do the steps with both, and give the values of each: ours, the reference's."""
    chosen, integer = {}, StepRandom.integer

    def remembered(self, name, choose):
        result = integer(self, name, choose)
        chosen[name] = int(result)
        return result

    monkeypatch.setattr(StepRandom, "integer", remembered)
    resolution = objective.config.resolution
    for step in range(steps):
        with COMPUTING[dtype]():
            images = torch.rand(COUNT, 3, resolution, resolution) * 2 - 1
            text, noise = F.normalize(torch.randn(COUNT, C), dim=1), torch.randn(COUNT, C)
            batch = Batch(text, torch.zeros(COUNT, C), None, images, noisy(text, noise, 0.1), None, range(COUNT))
            values = train_step(state, batch, objective, step)
            random = Draws(StepRandom(objective.config.seed, step, GROUP, CPU), chosen, dtype)
        with in_float64():
            reference.step(step, images.double(), text.double(), noise.double(), random)
        assert {*reference.values} <= {*values} | {"loss/r1", "loss/path_length"}
        yield {
            name: (value, reference.values[name].detach()) for name, value in values.items() if name in reference.values
        }


def both_states(state, reference, folder):
    """Give what it is, our tensors by name and the reference's: of networks, of Adam's second moments, of gradients."""

    def of_reference(kind):
        networks = {"G": reference.g, "G_ema": reference.average, "D": reference.d}
        with in_float64():
            return converted(dump(networks, folder / f"{kind}.pkl"), folder / f"{kind}.pt")[0]

    expected = of_reference("weights")
    for name in NETWORKS:
        yield name, getattr(state, name).state_dict(), getattr(expected, name).state_dict()
    for kind, theirs in (("exp_avg_sq", "squares"), ("exp_avg", "gradients")):  # beta_1 = 0: the last gradient
        for adam in (reference.adam_g, reference.adam_d):
            for parameter, value in zip(adam.parameters, getattr(adam, theirs), strict=True):
                parameter.data = value
        expected = of_reference(kind)
        for name in ("generator", "discriminator"):
            optimizer = getattr(state, f"{name}_optimizer")
            ours = {key: optimizer.state[own][kind] for key, own in getattr(state, name).named_parameters()
                    if kind in optimizer.state[own]}  # fmt: skip
            yield f"{kind} of {name}", ours, getattr(expected, name).state_dict()


def distance(ours, theirs):
    """The norm of the difference, over the reference's norm."""
    return float((ours.double() - theirs.double()).norm() / theirs.double().norm())


def as_one(tensors, names):
    return torch.cat([tensors[name].double().flatten() for name in names])


@pytest.mark.exact
@pytest.mark.slow
@pytest.mark.parametrize("resolution", [16, pytest.param(32, marks=pytest.mark.endurance)])
def test_ten_steps_equal_the_references(resolution, tmp_path, monkeypatch):
    dtype = torch.float64
    state, reference, objective = make_pair(resolution, dtype, tmp_path)
    for values in both_step(state, reference, objective, dtype, monkeypatch):
        for name, (ours, theirs) in values.items():
            assert float(ours) == pytest.approx(float(theirs), rel=1e-6, abs=0), name
    torch.testing.assert_close(state.path_length_mean.double(), reference.path_length, rtol=1e-5, atol=0)
    for what, ours, theirs in both_states(state, reference, tmp_path):
        for name, tensor in ours.items():  # the converter's float32 leaves this much
            assert torch.equal(tensor, theirs[name]) or distance(tensor, theirs[name]) <= 1e-5, f"{what}: {name}"


@pytest.mark.slow
@pytest.mark.parametrize(("resolution", "steps"), [(16, STEPS), pytest.param(32, 2, marks=pytest.mark.endurance)])
def test_steps_in_float32_equal_the_references(resolution, steps, tmp_path, monkeypatch):
    """Losses to 1e-5 in the first step and to 1e-3 later; gradients to 1e-3, networks and Adam's moments to 1e-4.

    Adam is why later steps are further off: where the gradient of an entry vanishes, its first step divides rounding
    by rounding, and moves the entry by the learning rate, up or down. A unit at the kink of its activation likewise
    takes either slope. Such an entry is one of hundreds in its tensor. At 32 pixels there are so many units that in two
    of eight trainings of ten steps one of them moves a loss by more than 1e-3: so two steps are compared there.
    """
    dtype = torch.float32
    state, reference, objective = make_pair(resolution, dtype, tmp_path)
    for step, values in enumerate(both_step(state, reference, objective, dtype, monkeypatch, steps)):
        close = 1e-3 if step else 1e-5
        for name, (ours, theirs) in values.items():
            logits = 1 if name.endswith("adversarial") else 0  # softplus of small logits has the error of the logits
            assert float(ours) == pytest.approx(float(theirs), rel=close, abs=close * logits), name
    assert distance(state.path_length_mean, reference.path_length) <= 1e-3
    averages = []  # of w
    for what, ours, theirs in both_states(state, reference, tmp_path):
        whole = distance(as_one(ours, ours), as_one(theirs, ours))
        assert whole <= (1e-3 if what.startswith("exp_avg of") else 1e-4), what  # exp_avg: the gradient, as a loss
        if "mapping.w_average" in ours:  # no other tensor by itself: a bias that begins at zero may flip, as above
            averages.append(what)
            assert distance(ours["mapping.w_average"], theirs["mapping.w_average"]) <= 1e-4, what
    assert len(averages) == 2, averages  # the generator's and its moving average's
