"""Five steps of a training equal five steps of an independent reference, in every value and every tensor."""

import pytest
import torch

from tests.tasks.gan.reference_step import Reference
from tests.tasks.gan.steps_of_training import step_random

pytestmark = [pytest.mark.numeric, pytest.mark.exact, pytest.mark.usefixtures("float64")]

STEPS = 5  # R1 is due in the first one, path lengths in the first and the last one
VARIANTS = {
    "the default": [],
    "asymmetric, lazy, hinge with mismatched captions": [
        "loss=asymmetric", "contrast.every=2", "adversarial=hinge", "adversarial.mismatch=0.7", "model=large"
    ],
    "by source, multi-scale, both penalties": [
        "heterologous=source", "h=2", "model=msg", "adversarial.r2_gamma=0.5", "model.r1_interval=2"
    ],
    "learned temperatures, relativistic": [
        "loss.temperature.learned=true", "adversarial=relativistic", "adversarial.mismatch=1", "model.r1_interval=1",
        "model.spatial_seed=false",
    ],
}  # fmt: skip


def distance(ours, theirs):
    """The norm of the difference, over the reference's norm."""
    return float((ours - theirs).norm() / theirs.norm().clamp(min=1e-3))


@pytest.mark.parametrize("variant", VARIANTS)
def test_five_steps_equal_the_references(make_noisy_training, variant):
    """Adam divides an entry of 1e-9, which rounding moves by 1e-16, by 1e-8: so tensors agree less than gradients."""
    training = make_noisy_training("batch=8", *VARIANTS[variant])
    state, reference = training.state, Reference(training)
    for step in range(STEPS):
        values = training.step(step)
        expected = reference.step(step, training.batches.at(step), step_random(training, step))
        assert {name for name in values if name.count("/") == 2 and not name.startswith("temperature")} <= {*expected}
        for name, value in expected.items():
            assert float(values[name]) == pytest.approx(float(value), rel=1e-6, abs=1e-9), f"step {step}: {name}"
    pairs = [
        (state.generator, reference.g), (state.discriminator, reference.d), (state.generator_ema, reference.average),
        (state.temperatures, reference.temperatures),
    ]  # fmt: skip
    for module, theirs in pairs:
        ours = dict(module.named_parameters())
        assert ours.keys() == theirs.keys()
        for name, parameter in ours.items():
            assert distance(parameter.detach(), theirs[name].detach()) <= 1e-5, name
    for mapping in (state.generator.mapping, state.generator_ema.mapping):
        torch.testing.assert_close(mapping.w_average, reference.w_average)
    torch.testing.assert_close(state.path_length_mean, reference.path_length)
