"""The steps of the GAN: what each one updates, and with which terms."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from clipgan.base.randomness import StepRandom, stream
from clipgan.base.vectors import unit
from clipgan.inputs.features.feature_writer import ROW_ERROR
from clipgan.models.losses.adversarial import gradient_penalty
from clipgan.models.networks.scales import Scales
from clipgan.tasks.gan import passes, regularisers, steps
from clipgan.tasks.gan.steps import discriminator_step
from clipgan.tasks.gan.train_step import train_step
from tests.models.losses.test_pairs import brute_force
from tests.numeric import CLOSE, assert_apart, rounding
from tests.tasks.gan.steps_of_training import (
    discriminator_update,
    generator_update,
    step_random,
)

pytestmark = pytest.mark.numeric


SELECTED = [
    ["pairs=drop_false_negative", "pairs.fraction=0.3", "contrast.negatives=20"],
    ["pairs=add_new_positive", "pairs.similarity=text", "contrast.negatives=20"],
    ["pairs=drop_false_positive", "pairs.fraction=0.3"],
    ["loss=asymmetric", "pairs=weakly_supervised", "features=online"],
]


# LAFITE's terms alone: tests/import_lafite/test_steps.py has the rest of its step
LAFITES_TERMS = [
    "loss=lafite",
    "loss.similarity=cos",
    "loss.text=clean",
    "loss.view={crop: 1, pad: false, antialias: true}",
]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("overrides", [
    *([*loss, f"features={features}"] for loss in (["loss=symmetric"], ["loss=asymmetric"], LAFITES_TERMS)
      for features in ("preprocessed", "online")),
    *SELECTED,
], ids=" ".join)  # fmt: skip
def test_every_term_of_a_step_contrasts_what_the_notation_says(make_noisy_training, overrides):
    """Runs the real steps on a real batch, and recomputes each value from embeddings, in loops and float64."""
    training = make_noisy_training(*overrides)
    state, batch, spaces, config = training.state, training.batches.at(3), training.objective.spaces, training.config
    if overrides in SELECTED:
        batch = distinct(batch)

    with torch.no_grad():
        random = step_random(training)
        ws = passes.styles(state, batch, training.config, random, "G")
        fake = state.generate(ws, batch.condition, passes.noise(state, batch, random, "G"))
        f_d = {name: state.discriminator(images, batch.condition).semantic for name, images in
               (("fake", fake), ("real", passes.real_images(batch, config)))}  # fmt: skip
        fake = fake.image
        more = batch.further
        u = batch.text if more is None else torch.cat([batch.text, more.text])
        v = spaces.clip.encode_image(batch.images) if config.features == "online" else batch.clip_image
        v = v if more is None else torch.cat([v, more.clip_image])
        anchors = {"G/D": f_d["fake"], "D/D": f_d["real"], "G/CLIP": spaces.clip.encode_image(fake)}
        targets = {"G/D/it": u, "G/CLIP/it": u, "D/D/it": u, "G/D/ii": unit(f_d["real"]), "G/CLIP/ii": v, "D/D/ii": v}
        if spaces.resnet is not None:
            anchors["G/ResNet"] = spaces.resnet.encode_image(fake)
            targets["G/ResNet/it"] = unit(u @ spaces.text_to_resnet)
            r = spaces.resnet.encode_image(batch.images)
            if config.features == "preprocessed":  # in half precision, by an encoder that computes in float32
                assert (batch.resnet_image - r).norm(dim=1).max() <= ROW_ERROR + rounding(100)
                r = batch.resnet_image
            targets["G/ResNet/ii"] = r if more is None else torch.cat([r, more.resnet_image])
    batch = steps.online_features(batch, training.objective)
    values = generator_update(copy.deepcopy(state), batch, training.objective, step_random(training))
    others, semantic = discriminator_step(state, batch, training.objective, step_random(training))
    torch.testing.assert_close(semantic, torch.nn.functional.normalize(f_d["real"], dim=1))
    values |= {name: value for name, value in others.items() if name.startswith("D/")}
    logged = {name for name in values if name.count("/") == 2}
    factors = {"": config.loss.name != "lafite", "_het": True}  # lafite's homologous direction has weight 0
    assert logged == {term.name + suffix for term in training.terms for suffix, on in factors.items() if on}
    kind = "text" if config.pairs.similarity == "text" else "clip_image"
    own = getattr(batch, kind)
    likeness = (own @ (own if more is None else torch.cat([own, getattr(more, kind)])).T).double().numpy()
    fit = (batch.text * batch.clip_image).sum(dim=1).double().numpy()
    if overrides in SELECTED:  # by the order of these
        assert_apart(np.where(np.eye(*likeness.shape, dtype=bool), -2, likeness))
        assert_apart(fit)
    for name in logged:
        term = name.removesuffix("_het")
        a, b = unit(anchors[term.rsplit("/", 1)[0]]).numpy(), targets[term].numpy()
        assert np.abs(np.linalg.norm(b, axis=1) - 1).max() <= ROW_ERROR + rounding(100)  # as stored
        if name.endswith("_het"):
            expected = brute_force(config.pairs, likeness[:, :32], fit, b[:32], a, 0.5)
        else:
            expected = brute_force(config.pairs, likeness[:, : len(b)], fit, a, b, 0.5)
        assert float(values[name]) == pytest.approx(expected, rel=CLOSE), name


def distinct(batch):
    """The batch with random CLIP features: a small CLIP that hardly trained finds many images exactly alike."""

    def features(of):
        random = {name: torch.randn_like(getattr(of, name)) for name in ("text", "clip_image")}
        return {name: torch.nn.functional.normalize(rows, dim=1) for name, rows in random.items()}

    torch.manual_seed(0)
    further = batch.further and dataclasses.replace(batch.further, **features(batch.further))
    return dataclasses.replace(batch, further=further, **features(batch))


def test_the_two_networks_have_latents_and_noise_of_their_own(make_noisy_training):
    training = make_noisy_training()
    batch, random = training.batches.at(0), step_random(training)
    styles = [passes.styles(training.state, batch, training.config, random, use) for use in "DG"]
    assert not torch.isclose(*styles).any(dim=2).all()
    seen, original = [], StepRandom.rows

    def rows(self, name, rows):
        seen.append(name)
        return original(self, name, rows)

    def integer(self, name, choose):
        seen.append(name)
        return torch.tensor(choose(stream(0, name)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StepRandom, "rows", rows)
        patch.setattr(StepRandom, "integer", integer)
        training.step(0)
    assert len(seen) == len(set(seen))  # D, G and path length: nothing is drawn twice


@pytest.mark.exact
def test_a_space_whose_terms_are_all_off_is_never_run(make_noisy_training, monkeypatch):
    """Counts the passes through the frozen encoders, of generated images as of real ones."""
    counts = {}

    def count(space, overrides):
        training = make_noisy_training("features=online", *overrides)
        batch, encoder = training.batches.at(0), getattr(training.objective.spaces, space)
        if encoder is None:
            return 0
        counts[space] = 0

        def encode(*given, original=encoder.encode_image):
            counts[space] += 1
            return original(*given)

        monkeypatch.setattr(encoder, "encode_image", encode)
        train_step(training.state, batch, training.objective, 1)
        return counts[space]

    assert count("clip", []) == 2  # generated images; v, once for G and D
    assert count("clip", ["S.CLIP=0"]) == 1  # v for D's own ii term
    assert count("clip", ["S.CLIP=0", "C_ii=0"]) == 0
    assert count("resnet", []) == 2
    assert count("resnet", ["S.ResNet=0"]) == 0
    assert count("resnet", ["loss=lafite"]) == 0


@pytest.mark.exact
@pytest.mark.parametrize("overrides", [[], ["C_ii=0"], ["loss=asymmetric"], ["loss=lafite"]])
def test_no_structure_costs_a_pass_of_the_discriminator(make_noisy_training, monkeypatch, overrides):
    """Real and generated images in its own step, generated ones in the generator's: f_D(x) is taken from the former."""
    training, judged = make_noisy_training(*overrides), []
    forward = training.state.discriminator.forward
    monkeypatch.setattr(
        training.state.discriminator, "forward", lambda x, *texts: judged.append(len(x.image)) or forward(x, *texts)
    )
    train_step(training.state, training.batches.at(1), training.objective, 1)
    assert judged == [2 * training.config.batch, training.config.batch]


@pytest.mark.usefixtures("float64")
def test_a_lazy_contrast_weighs_as_much_more_in_every_kth_step(make_noisy_training, monkeypatch):
    plain, lazy = make_noisy_training(), make_noisy_training("contrast.every=3")
    encoder, calls = lazy.objective.spaces.clip, []
    encode = encoder.encode_image
    monkeypatch.setattr(encoder, "encode_image", lambda *given: calls.append(1) or encode(*given))
    batch, random = plain.batches.at(3), step_random(plain)
    for step, factor in ((3, 3), (4, 0), (5, 0), (6, 3)):
        calls.clear()
        for network, update in (("discriminator", discriminator_update), ("generator", generator_update)):
            ours = update(copy.deepcopy(lazy.state), batch, lazy.objective.at(step), random)
            theirs = update(copy.deepcopy(plain.state), batch, plain.objective, random)
            loss = f"loss/{network[0].upper()}"
            adversarial = theirs[f"{loss}_adversarial"]
            contrastive = theirs[loss] - adversarial
            assert contrastive > 0
            torch.testing.assert_close(ours[loss], adversarial + factor * contrastive)
        assert len(calls) == (1 if factor else 0)  # generated images, where the contrast is


@pytest.mark.usefixtures("float64")
def test_lazy_regularisers_correct_adam_and_keep_their_weight(make_noisy_training):
    training = make_noisy_training()
    model, state, batch = training.config.model, training.state, training.batches.at(0)
    for optimizer, lr, interval in (
        (state.generator_optimizer, model.g_lr, model.pl_interval),
        (state.discriminator_optimizer, model.d_lr, model.r1_interval),
    ):
        [group] = optimizer.param_groups
        ratio = interval / (interval + 1)
        assert group["lr"] == pytest.approx(lr * ratio)
        assert group["betas"] == pytest.approx((0.0, 0.99**ratio))
    images = batch.images.detach().requires_grad_()
    penalty = gradient_penalty(state.discriminator(Scales(images), batch.condition).logits, [images])
    parameters = [parameter for parameter in state.discriminator.parameters()]
    expected = torch.autograd.grad(penalty * model.r1_gamma / 2 * 16, parameters, allow_unused=True)
    regularisers.gradient_penalty_step(state, batch, training.objective, step_random(training))
    assert any(gradient is None for gradient in expected)
    for parameter, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, torch.zeros_like(parameter) if gradient is None else gradient)
    regularisers.path_length_step(state, batch, training.objective, step_random(training))
    for optimizer in (state.generator_optimizer, state.discriminator_optimizer):
        [group] = optimizer.param_groups
        assert [int(optimizer.state[parameter]["step"]) for parameter in group["params"]] == [1] * len(group["params"])
