"""Measure the training step: its fixed cost, its cost per image, and its speed against two other steps.

    python -m bench.train_step                     # the default configuration, encoders and contrast included
    python -m bench.train_step precision=bf16 resolution=64
    python -m bench.train_step rounds=3            # default: 5

It measures recorded steps (`graphs=on`) with 4, 16 and 64 images, and a line through these times: its value at 0 images
is the fixed cost. Two steps with 16 images run eagerly: the same one, and a straightforward one with the networks of
bench/reference.py. All take turns in one process, in rounds of 16 steps, so that each round has one lazy R1 and four
path-length steps. The encoders are trained for one step only, which does not change their speed. Overrides as for
train.py; it writes runs/bench/train_step.json.
"""

import copy
import statistics
from functools import partial

import numpy as np

from bench.measuring import arguments, device_of, in_turns, new_training, ratio, show, write
from bench.one_step import small
from bench.reference import ReferenceDiscriminator, ReferenceGenerator
from clipgan.base.console import console
from clipgan.config.command_line import compose_config, messages_not_tracebacks
from clipgan.tasks.gan.preparation import Prepared, prepare
from clipgan.tasks.gan.training import Training

STEPS = 16
BATCHES = (4, 16, 64)
COMPARED = 16  # images of the steps that run eagerly


@messages_not_tracebacks()
def main() -> None:
    """Measure, print and write."""
    options, overrides = arguments(__doc__, rounds=5)
    overrides = [*small(overrides), "data.n_train=256", "threads=1", *overrides]
    config = compose_config(overrides)
    prepared = prepare(config, device_of(config))
    recorded = "on" if config.compile is None else "off"
    trainings = {f"{batch}": new_step(overrides, batch, prepared, recorded) for batch in BATCHES}
    eager = {name: f"{COMPARED}, {name}" for name in ("eager", "reference")}
    trainings |= {name: new_step(overrides, COMPARED, prepared, "off") for name in eager.values()}
    use_reference_networks(trainings[eager["reference"]])

    def steps(training: Training) -> None:
        with training.state.precision.products():
            for step in range(STEPS):
                training.step(step)

    actions = {name: partial(steps, training) for name, training in trainings.items()}
    for action in [*actions.values()] * 2:
        action()  # each kind of step runs once before it is recorded
    times = in_turns(actions, options["rounds"], device_of(config))
    milliseconds = {name: statistics.median(record) / STEPS * 1000 for name, record in times.items()}
    per_image, fixed = np.polyfit(BATCHES, [milliseconds[f"{batch}"] for batch in BATCHES], 1)
    ratios = {name: ratio(times[f"{COMPARED}"], times[full]) for name, full in eager.items()}
    precision = trainings[eager["eager"]].state.precision.name
    show(
        ("images in a step", "ms"),
        ((name, f"{value:.1f}") for name, value in milliseconds.items()),
        f"{config.model.name}, {config.resolution} pixels, {precision}",
    )
    console.print(
        f"fixed {fixed:.1f} ms, {per_image:.2f} ms an image; {ratios['eager']:.2f} of the eager step's time, "
        f"{ratios['reference']:.2f} of the reference's"
    )
    write(
        "train_step", milliseconds=milliseconds, fixed=fixed, per_image=per_image, of_eager=ratios["eager"],
        of_reference=ratios["reference"], resolution=config.resolution, model=config.model.name, precision=precision,
    )  # fmt: skip


def new_step(overrides: list[str], batch: int, prepared: Prepared, graphs: str) -> Training:
    """Make a training whose steps have `batch` images."""
    return new_training(compose_config([*overrides, f"batch={batch}", f"graphs={graphs}"]), prepared=prepared)


def use_reference_networks(training: Training) -> None:
    """Replace the networks by straightforward ones, contiguous in memory, in float32."""
    state, config, clip_dim = training.state, training.config, training.clip.dim
    generator = ReferenceGenerator(config.model, clip_dim, config.resolution).to(training.device)
    discriminator = ReferenceDiscriminator(config.model, clip_dim, config.resolution).to(training.device)
    state.generator, state.discriminator = generator, discriminator
    state.generator_ema = copy.deepcopy(generator).requires_grad_(False)
    optimizers = state.generator_optimizer, state.discriminator_optimizer
    for optimizer, network in zip(optimizers, (generator, discriminator), strict=True):
        [group] = optimizer.param_groups
        group["params"] = list(network.parameters())


if __name__ == "__main__":
    main()
