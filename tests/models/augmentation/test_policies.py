"""The policies: what adapts p, what scales share, and what a training with them does."""

import copy

import pytest
import torch

from clipgan.base.randomness import StepRandom
from clipgan.config import AugmentConfig
from clipgan.models.augmentation.policies import AdaptiveAugmentation, Augmentation, DiffAugment, build_augmentation
from clipgan.models.networks.scales import Scales, scales_of
from clipgan.tasks.gan import passes, regularisers
from tests.capturable import Capturable
from tests.helpers import assert_same

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")
ADA = AugmentConfig("ada", ["blit", "geometry", "colour"], 0.6, 4, 2.0)


def draw(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return lambda: lambda shape: torch.randn(*shape, generator=generator)


@pytest.mark.usefixtures("float64")
def test_p_follows_the_sign_of_what_d_says_of_real_images():
    """By arXiv:2006.06676: every 4 steps up or down by batch * 4 / 2000, from 0, between 0 and 1."""
    ada = build_augmentation(ADA, 100, CPU)
    assert isinstance(ada, AdaptiveAugmentation)
    signs = [0.7] * 8 + [0.9, 0.9, 0.5, 0.3] + [0.59] * 4 + [0.61] * 4 + [0.0] * 8
    values = [float(ada.end_step(step, torch.tensor(sign))["augment/p"]) for step, sign in enumerate(signs)]
    expected = [0.2, 0.4, 0.6, 0.4, 0.6, 0.4, 0.2]  # the third four have a mean of 0.65
    assert values[3::4] == pytest.approx(expected)
    assert values[:3] == [0, 0, 0]
    for step in range(16):
        ada.end_step(step, torch.tensor(-1.0))
    assert float(ada.p) == 0
    for step in range(40):
        ada.end_step(step, torch.tensor(1.0))
    assert float(ada.p) == 1


@pytest.mark.exact
def test_a_state_in_between_goes_on_as_the_whole():
    whole, first, second = (build_augmentation(ADA, 100, CPU) for _ in range(3))
    signs = torch.rand(14, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.35
    expected = [float(whole.end_step(step, sign)["augment/p"]) for step, sign in enumerate(signs)]
    found = [float(first.end_step(step, sign)["augment/p"]) for step, sign in enumerate(signs[:6])]
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    found += [float(second.end_step(step, sign)["augment/p"]) for step, sign in enumerate(signs[6:], start=6)]
    assert found == expected


@pytest.mark.exact
@pytest.mark.parametrize("config", [ADA, AugmentConfig("diffaugment", ["colour", "translation", "cutout"])])
def test_a_graph_can_record_every_use_but_the_first(config):
    augmentation, random = build_augmentation(config, 4, CPU), draw()
    images = Scales(torch.randn(4, 3, 8, 8, requires_grad=True))
    augmentation(images, random)
    with Capturable():
        augmentation(images, random).image.square().sum().backward()


@pytest.mark.exact
def test_none_gives_the_very_images_and_draws_nothing():
    images = Scales(torch.randn(2, 3, 8, 8))
    none = build_augmentation(AugmentConfig(), 16, CPU)
    assert type(none) is Augmentation
    assert none(images, lambda: pytest.fail("drawn")) is images
    assert (none.end_step(3, torch.ones(())), none.state_dict()) == ({}, {})


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("name", "policy"), [("ada", ["colour"]), ("diffaugment", ["colour"])])
def test_scales_are_changed_alike(name, policy):
    """Colours of each pixel commute with averages over squares."""
    augmentation = AdaptiveAugmentation(ADA, 16, CPU) if name == "ada" else DiffAugment(policy)
    if isinstance(augmentation, AdaptiveAugmentation):
        augmentation.p.fill_(1)
        augmentation.transforms = augmentation.transforms[2:]
    images = torch.randn(5, 3, 16, 16)
    changed = augmentation(scales_of(images, True), draw())
    assert not torch.isclose(changed.image, images).all()
    for ours, theirs in zip(changed.all(), scales_of(changed.image, True).all(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_cutout_and_translation_of_scales_are_the_same_places():
    augmentation = DiffAugment(["cutout"])
    changed = augmentation(scales_of(torch.ones(20, 3, 32, 32), True), draw())
    for smaller, expected in zip(changed.smaller, scales_of(changed.image, True).smaller, strict=True):
        assert (smaller - expected).abs().mean() < 0.12  # they round to pixels of their own


@pytest.mark.exact
def test_without_augmentation_a_step_is_the_plain_one_bit_by_bit(make_training, monkeypatch):
    ours, plain = make_training(), make_training()
    for step in (0, 1):
        ours.step(step)
    for module in (passes, regularisers):
        monkeypatch.setattr(module, "augmented", lambda state, images, *_: images)
    for step in (0, 1):
        plain.step(step)
    assert_same(ours.state.state_dict(), plain.state.state_dict())


@pytest.mark.parametrize(("name", "precision"), [("ada", "fp32"), ("ada", "bf16"), ("diffaugment", "fp32")])
def test_every_pass_of_d_sees_augmented_images_and_the_encoders_none(make_training, monkeypatch, name, precision):
    training = make_training(f"augment={name}", f"precision={precision}", "batch=16")
    state = training.state
    if name == "ada":
        state.augmentation.p.fill_(1)
    given, seen, encoded = [], [], []
    augment, judge, encode = (
        state.augmentation,
        state.discriminator.forward,
        training.objective.spaces.clip.encode_image,
    )

    def spied(images, draw):
        given.append(images.image)
        seen.append(augment(images, draw).image)
        return Scales(seen[-1])

    monkeypatch.setattr(state, "augmentation", spied)
    spied.end_step = augment.end_step
    judged = []
    monkeypatch.setattr(state.discriminator, "forward", lambda x, *texts: judged.append(x.image) or judge(x, *texts))
    monkeypatch.setattr(
        training.objective.spaces.clip, "encode_image", lambda x, how: encoded.append(x) or encode(x, how)
    )
    before = state.generator.synthesis.constant.clone()
    values = training.step(0)
    assert len(seen) == 4  # D: generated, real; G: generated; R1: real
    both, *others = judged
    assert torch.equal(both, torch.cat(seen[:2]))
    assert all(ours is theirs for ours, theirs in zip(others, seen[2:], strict=True))
    assert all(not torch.isclose(ours, theirs).all() for ours, theirs in zip(seen, given, strict=True))
    assert encoded[0] is given[2]
    assert all(torch.isfinite(value).all() for value in values.values())
    assert not torch.equal(before, state.generator.synthesis.constant)  # G's gradient has passed
    assert torch.isclose(given[1], given[3]).all()
    assert not torch.isclose(seen[1], seen[3]).all()  # R1 draws its own


@pytest.mark.usefixtures("float64")
def test_r1_is_of_the_image_before_its_augmentation(make_training):
    training = make_training("augment=ada", "batch=16")
    state, batch = copy.deepcopy(training.state), training.batches.at(0)
    state.augmentation.p.fill_(0.7)
    random = StepRandom(training.config.seed, 0, 4, CPU)
    images = batch.images.clone().requires_grad_()
    rows = random.rows("R1 augmentation", batch.rows)
    shown = state.augmentation(Scales(images), lambda: rows)
    logits = state.discriminator(shown, batch.condition).logits
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    values = regularisers.gradient_penalty_step(state, batch, training.objective, random)
    expected = gradient.square().sum(dim=(1, 2, 3)).mean()
    torch.testing.assert_close(values["loss/r1"], expected)
