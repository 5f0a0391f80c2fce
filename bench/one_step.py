"""Measure time and memory of the preparation and of one step with large encoders, before a long run.

It prepares drawn shapes, 32 for training and 16 held out, with the chosen encoders, and does the first step, which
includes R1 and path length. Overrides as for train.py; it writes runs/bench/one_step.json:

    python -m bench.one_step clip=ViT-L14@336 clip.checkpoint=FILE resolution=64 model=base
"""

import time

from bench.measuring import arguments, new_training, seconds, write
from clipgan.base.console import console
from clipgan.base.memory import peak_memory
from clipgan.config.command_line import compose_config, messages_not_tracebacks

SMALL = (
    "data.n_train=32", "data.n_heldout=16", "metrics.n_images=16", "metrics.judge.train.steps=1",
    "metrics.judge.train.min_attribute_accuracy=0", "clip.train.steps=1", "clip.train.min_attribute_accuracy=0",
    "resnet.train.steps=1", "resnet.train.batch=8",
)  # fmt: skip


@messages_not_tracebacks()
def main() -> None:
    """Prepare, do the step, print and write."""
    _, overrides = arguments(__doc__)
    config = compose_config([*small(overrides), *overrides])
    start = time.perf_counter()
    training = new_training(config)
    prepared, values = time.perf_counter() - start, {}
    console.print(f"prepared in {prepared:.0f} s, peak {peak_memory(training.device):.2f} GB so far")

    def step() -> None:
        with training.state.precision.products():
            values.update(training.step(0))

    time_of_step, peak = seconds(step, training.device), peak_memory(training.device)
    what = f"batch {config.batch}, {config.resolution} pixels, {config.clip.name}"
    console.print(f"one step ({what}): {time_of_step:.1f} s, peak {peak:.2f} GB")
    console.print(", ".join(f"{name} {float(value):.4g}" for name, value in values.items()))
    write("one_step", prepare_seconds=prepared, step_seconds=time_of_step, peak_gb=peak)


def small(overrides: list[str]) -> list[str]:
    """Return overrides for little data, and for encoders that are trained in one step if they are trained at all."""
    composed = compose_config(overrides)
    judge = composed.metrics.judge
    trained = {"clip": composed.clip.train, "resnet": composed.resnet.train, "metrics": judge and judge.train}
    chosen = [text for text in SMALL if ".train." not in text or trained[text.partition(".")[0]] is not None]
    return [text for text in chosen if composed.data.name == "shapes" or not text.startswith("data.")]


if __name__ == "__main__":
    main()
