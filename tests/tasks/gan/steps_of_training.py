"""What the tests of the GAN's steps share: one update of each network, and gradients compared."""

import torch

from clipgan.base.randomness import StepRandom
from clipgan.base.vectors import unit
from clipgan.tasks.gan import passes
from clipgan.tasks.gan.steps import discriminator_step, generator_step
from tests.numeric import CLOSE

CPU = torch.device("cpu")


def with_noise(training):
    """Let noise and augmentation show: both begin at zero."""
    for parameter in training.state.generator.parameters():
        if parameter.ndim == 0:
            torch.nn.init.constant_(parameter, 0.3)
    if training.config.augment.name == "ada":
        training.state.augmentation.p.fill_(0.5)
    return training


def assert_close(ours, theirs):
    """Every gradient, relative to the largest entry in its step: a scalar is a sum of many that nearly cancel."""
    assert ours.keys() == theirs.keys()
    for step in ("D", "G", "R1", "path length"):
        names = [name for name in theirs if name.startswith(f"{step} ")]
        scale = max((float(theirs[name].abs().max()) for name in names), default=0)
        for name in names:
            torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=CLOSE * scale, msg=name)


def discriminator_update(state, batch, objective, random):
    """Its values."""
    return discriminator_step(state, batch, objective, random)[0]


def generator_update(state, batch, objective, random):
    """Its values, where D has had no step before."""
    with torch.no_grad():
        semantic = unit(state.discriminate(passes.real_images(batch, objective.config), batch.condition).semantic)
    return generator_step(state, batch, semantic, objective, random)


def step_random(training, step=3):
    return StepRandom(training.config.seed, step, training.config.model.mbstd_group, CPU)
