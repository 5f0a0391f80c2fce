"""Ten steps with LAFITE's networks and settings equal ten steps of an independent reference, in every tensor."""

from dataclasses import dataclass, replace

import pytest
import torch
import torch.nn.functional as F

from clipgan.base.randomness import StepRandom
from clipgan.inputs.batches.batches import Batch
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.inputs.encoders.tiny_clip import build_clip, register_tiny_model, tiny_preprocess
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

pytestmark = pytest.mark.numeric
CPU, COUNT, GROUP, STEPS = torch.device("cpu"), 8, 4, 10
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

    def draw(self, name, *shape):
        return self.random.rows(name, range(shape[0]))(shape)

    def integer(self, name):
        return self.integers[name]

    def halved(self):
        return replace(self, random=self.random.halves())


@pytest.fixture
def pair(request, tmp_path, float64, monkeypatch):
    """Our state and the reference, with equal weights, and our objective."""
    torch.manual_seed(0)
    networks = public_networks(resolution=request.param, change=8)
    _, settings = converted(dump(networks, tmp_path / "a.pkl"), tmp_path / "a.pt")
    own = [f"model.{key}={value}" for key, value in vars(settings.model).items() if isinstance(value, int | float)]
    config = make_config("model=lafite", *own, f"resolution={request.param}", "model.lafite.joined_to=8", "clip=tiny",
                         "model.pl_weight=2", "model.r1_gamma=10", *LAFITE)  # fmt: skip
    state = converted(tmp_path / "a.pkl", tmp_path / "b.pt")[0]
    fresh = new_state(config, C, CPU)
    for name in ("generator", "generator_ema", "discriminator"):
        getattr(fresh, name).load_state_dict(getattr(state, name).state_dict())
    register_tiny_model()
    clip = FrozenClip(build_clip("clipgan-tiny"), "clipgan-tiny", tiny_preprocess("clipgan-tiny")).double()
    terms = active_terms(config)
    objective = Objective(config, [t for t in terms if t.phase == "G"], [t for t in terms if t.phase == "D"],
                          FrozenSpaces(clip, None, None, noisy_text=True))  # fmt: skip

    def encode(images):
        mean, std = (getattr(clip.preprocess, name) for name in ("mean", "std"))
        return F.normalize(clip.backbone.encode_image(((images + 1) / 2 - mean) / std), dim=1)

    lafite = Settings(itd=5, itc=10, gamma=10, pl_weight=2, r1_interval=4, pl_interval=4, lr=config.model.g_lr,
                      ema_kimg=20, group=GROUP)  # fmt: skip
    return fresh, Reference(doubled(networks), encode, clip.preprocess.size, lafite), objective


@pytest.mark.parametrize("pair", [16, 32], indirect=True)
def test_ten_steps_equal_the_references(pair, tmp_path, monkeypatch):
    state, reference, objective = pair
    chosen, integer = {}, StepRandom.integer

    def remembered(self, name, choose):
        result = integer(self, name, choose)
        chosen[name] = int(result)
        return result

    monkeypatch.setattr(StepRandom, "integer", remembered)
    resolution = objective.config.resolution
    for step in range(STEPS):
        images = torch.rand(COUNT, 3, resolution, resolution) * 2 - 1
        text, noise = F.normalize(torch.randn(COUNT, C), dim=1), torch.randn(COUNT, C)
        batch = Batch(text, torch.zeros(COUNT, C), None, images, noisy(text, noise, 0.1), None, range(COUNT))
        values = train_step(state, batch, objective, step)
        random = Draws(StepRandom(objective.config.seed, step, GROUP, CPU), chosen)
        reference.step(step, images, text, noise, random)
        for name in values.keys() & reference.values.keys():
            torch.testing.assert_close(
                values[name].double(), reference.values[name].detach(), rtol=1e-6, atol=0, msg=name
            )
    assert {name for name in reference.values} <= values.keys() | {"loss/r1", "loss/path_length"}
    torch.testing.assert_close(state.path_length_mean.double(), reference.path_length, rtol=1e-5, atol=0)
    networks = {"G": reference.g, "G_ema": reference.average, "D": reference.d}
    expected = converted(dump(networks, tmp_path / "c.pkl"), tmp_path / "c.pt")[0]
    for name in ("generator", "generator_ema", "discriminator"):
        assert_alike(getattr(state, name).state_dict(), getattr(expected, name).state_dict())
    for kind, of_reference in (("exp_avg_sq", "squares"), ("exp_avg", "gradients")):  # beta_1 = 0: the last gradient
        for adam in (reference.adam_g, reference.adam_d):
            for parameter, value in zip(adam.parameters, getattr(adam, of_reference), strict=True):
                parameter.data = torch.zeros_like(parameter) if value is None else value
        expected = converted(dump(networks, tmp_path / f"{kind}.pkl"), tmp_path / f"{kind}.pt")[0]
        for name in ("generator", "discriminator"):
            optimizer = getattr(state, f"{name}_optimizer")
            ours = {key: optimizer.state[own][kind] for key, own in getattr(state, name).named_parameters()
                    if kind in optimizer.state[own]}  # fmt: skip
            assert_alike(ours, getattr(expected, name).state_dict())


def assert_alike(ours, theirs):
    """Each tensor is as the reference's, to what the converter's float32 leaves."""
    for name, value in ours.items():
        error, size = (value.double() - theirs[name].double()).norm(), theirs[name].double().norm()
        assert error <= 1e-5 * size, f"{name}: {float(error / size)}"
