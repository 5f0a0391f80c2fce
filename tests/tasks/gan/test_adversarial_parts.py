"""The parts of the game in the GAN's steps: other losses, penalties, mismatched captions, learned temperatures, heads
on a frozen network."""

import copy
import math

import pytest
import torch

from clipgan.tasks.gan import passes, regularisers
from clipgan.tasks.gan.steps import discriminator_step, generator_step
from tests.helpers import assert_same
from tests.numeric import CLOSE
from tests.tasks.gan.steps_of_training import generator_update, step_random

pytestmark = pytest.mark.numeric

SMALL = ["batch=16", "model.channel_max=8", "model.z_dim=16", "model.w_dim=16"]
GAMES = {
    "relativistic": ["adversarial=relativistic", "adversarial.mismatch=0.5", "loss.temperature.learned=true"],
    "projected": [
        "discriminator=projected", "adversarial=hinge", "adversarial.mismatch=1", "adversarial.r2_gamma=1",
        "model.r1_gamma=2", "loss.temperature.learned=true", "augment=ada", "augment.kimg=1", "augment.interval=1",
    ],
}  # fmt: skip


@pytest.mark.parametrize("loss", ["symmetric", "asymmetric", "lafite"])
@pytest.mark.parametrize("game", GAMES)
def test_two_steps_train_every_part_with_every_structure(make_training, game, loss):
    training = make_training(*SMALL, *GAMES[game], f"loss={loss}", "loss.similarity=cos")  # a learned tau needs it
    state, before = training.state, copy.deepcopy(training.state)
    frozen = None if state.frozen is None else copy.deepcopy(state.frozen.state_dict())
    for step in (0, 1):  # the first one has all regularisers
        values = training.step(step)
        assert all(math.isfinite(float(value)) for value in values.values())
    still = ["noise_strength"]  # starts at zero and moves by less than a float may show
    if game == "relativistic":
        still.append("logit.bias")  # the logits' difference does not depend on it: rounding alone moves it
    for part in ("generator", "discriminator", "generator_ema", "temperatures"):
        old = getattr(before, part).state_dict()
        for name, value in getattr(state, part).state_dict().items():
            if not name.endswith(tuple(still)):
                assert not torch.equal(value, old[name]), f"{part} {name}"
    assert {f"temperature/{term.phase}/{term.space}" for term in training.terms} <= values.keys()
    if frozen is not None:
        assert_same(state.frozen.state_dict(), frozen)


@pytest.mark.exact
@pytest.mark.parametrize("game", GAMES)
def test_a_resumed_training_goes_on_from_the_same_bits(make_training, tmp_path, game):
    whole, first, second = (make_training(*SMALL, *GAMES[game]) for _ in range(3))
    for step in range(4):
        whole.step(step)
    for step in range(2):
        first.step(step)
    torch.save(first.state.state_dict(), tmp_path / "state.pt")
    second.state.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for step in range(2, 4):
        second.step(step)
    assert_same(second.state.state_dict(), whole.state.state_dict())


@pytest.fixture
def generated():
    """Makes the images of a use of the latents, as a step makes them."""

    @torch.no_grad()
    def make(training, batch, use):
        random = step_random(training)
        ws = passes.styles(training.state, batch, training.config, random, use)
        return training.state.generate(ws, batch.condition, passes.noise(training.state, batch, random, use))

    return make


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("overrides", [[], ["discriminator=projected", "augment=none"]], ids=["images", "maps"])
def test_both_penalties_are_of_what_d_reads(make_noisy_training, generated, overrides):
    """R1 and R2 and their gradients, by plain autograd: of the images, or of the frozen network's maps."""
    training = make_noisy_training(*SMALL, *overrides, "model.r1_gamma=3", "adversarial.r2_gamma=5")
    state, batch = training.state, training.batches.at(0)
    penalties = {}
    for name, images in (("r1", passes.real_images(batch, training.config)), ("r2", generated(training, batch, "R2"))):
        read = [images.image] if state.frozen is None else state.frozen(images.image)
        read = [each.detach().requires_grad_() for each in read]
        judged = state.discriminate_maps(
            images._replace(image=read[0]) if state.frozen is None else read, batch.condition
        )
        of_images = judged.logits.reshape(len(batch.rows), -1).mean(dim=1)
        gradients = torch.autograd.grad(of_images.sum(), read, create_graph=True)
        penalties[name] = sum((gradient**2).sum() / len(batch.rows) for gradient in gradients) / len(read)
    parameters = dict(state.discriminator.named_parameters())
    total = (3 / 2 * penalties["r1"] + 5 / 2 * penalties["r2"]) * 16  # the interval
    expected = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
    with state.differentiated_twice():
        values = regularisers.gradient_penalty_step(state, batch, training.objective, step_random(training))
    assert {name: float(value) for name, value in values.items()} == pytest.approx(
        {f"loss/{name}": float(penalty.detach()) for name, penalty in penalties.items()}, rel=CLOSE
    )
    for (name, parameter), gradient in zip(parameters.items(), expected, strict=True):
        if gradient is not None:  # plain autograd's is zeros where a step has none
            own = torch.zeros_like(gradient) if parameter.grad is None else parameter.grad
            torch.testing.assert_close(own, gradient, rtol=1e-6, atol=CLOSE, msg=name)


@pytest.mark.usefixtures("float64")
def test_the_relativistic_losses_compare_images_of_one_caption(make_noisy_training, generated):
    """D's loss, with the mismatched captions as fakes, and G's by the same D."""
    training = make_noisy_training(*SMALL, "adversarial=relativistic", "adversarial.mismatch=0.5")
    state, batch = training.state, training.batches.at(0)
    real = passes.real_images(batch, training.config)

    @torch.no_grad()
    def logits(images, condition):
        return state.discriminator(images, condition).logits

    def expected(better, worse):
        return float(torch.log1p(torch.exp(worse - better)).mean())

    of_real = logits(real, batch.condition)
    of_d = expected(of_real, logits(generated(training, batch, "D"), batch.condition))
    of_d += 0.5 * expected(of_real, logits(real, batch.condition.roll(1, dims=0)))
    of_g = expected(logits(generated(training, batch, "G"), batch.condition), of_real)
    values = generator_update(copy.deepcopy(state), batch, training.objective, step_random(training))
    assert float(values["loss/G_adversarial"]) == pytest.approx(of_g, rel=CLOSE)
    values, _ = discriminator_step(state, batch, training.objective, step_random(training))
    assert float(values["loss/D_adversarial"]) == pytest.approx(of_d / 1.5, rel=CLOSE)


@pytest.mark.exact
def test_g_is_judged_by_the_d_that_has_just_been_updated(make_training):
    """Also its real images: no logits of the step before are compared."""
    training = make_training(*SMALL, "adversarial=relativistic")
    state, batch, judged = training.state, training.batches.at(0), []
    forward = state.discriminator.forward
    state.discriminator.forward = lambda images, *texts: judged.append(images.image) or forward(images, *texts)
    _, semantic = discriminator_step(state, batch, training.objective, step_random(training))
    generator_step(state, batch, semantic, training.objective, step_random(training))
    assert [len(images) for images in judged] == [32, 16, 16]  # D: both; G: generated, real
    assert torch.equal(judged[2], batch.images)


def test_mismatched_captions_cost_no_pass_of_the_discriminator(make_training):
    training, judged = make_training(*SMALL, "adversarial.mismatch=1"), []
    forward = training.state.discriminator.forward
    training.state.discriminator.forward = lambda x, *texts: judged.append(len(x.image)) or forward(x, *texts)
    values = training.step(1)
    assert judged == [32, 16]
    assert float(values["logits/mismatched"]) != float(values["logits/real"])
