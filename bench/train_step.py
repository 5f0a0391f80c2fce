"""Compare the training step with a straightforward one, and with the machine's peak of matrix products.

    python -m bench.train_step                     # 32 and 64 pixels; fp32 and what precision=auto takes
    python -m bench.train_step precision=bf16
    python -m bench.train_step rounds=3            # default: 2

It is the adversarial step (no encoder, no contrast) with lazy regularisers, optimisers and moving average. Both steps
take turns in one process, in rounds of 16 steps. It prints medians, the median of the rounds' ratios, and the share of
the measured peak of matrix products. As they take turns, the ratio needs fewer rounds than the seconds do. Overrides as
for train.py; it writes runs/bench/train_step.json.
"""

import copy
import statistics
from functools import partial
from typing import Any

import torch

from bench.measuring import arguments, device_of, in_turns, ratio, seconds, show, write
from bench.reference import ReferenceDiscriminator, ReferenceGenerator
from clipgan.config import Config
from clipgan.config.command_line import compose_config
from clipgan.engine.precision import AUTOCAST
from clipgan.inputs.batches.batches import Batch
from clipgan.models.networks.cost import Counter
from clipgan.tasks.gan.state import TrainingState, new_state
from clipgan.tasks.gan.steps import Objective
from clipgan.tasks.gan.train_step import train_step

STEPS = 16  # one lazy R1 and four path-length steps in each round
SIZES = {32: (4096, 128), 64: (8192, 256)}  # resolution -> channel_base, channel_max
CLIP_DIM = 512
GEMM = 1024  # edge of the matrices of the peak


def main() -> None:
    """Measure both resolutions, print and write."""
    options, overrides = arguments(__doc__, rounds=2)
    cells = []
    for resolution, (base, most) in SIZES.items():
        widths = (f"resolution={resolution}", f"model.channel_base={base}", f"model.channel_max={most}", "model=base")
        cells += measure([*widths, *overrides], options["rounds"])
    show(
        ("pixels", "step", "s/kimg", "times as fast", "GFLOP a step", "GFLOP/s", "of the peak"),
        (
            (c["resolution"], c["step"], f"{c['s/kimg']:.2f}", f"{c['ratio']:.2f}", f"{c['gflop']:.1f}",
             f"{c['gflop/s']:.0f}", f"{c['gflop/s'] / c['peak']:.0%}")
            for c in cells
        ),
    )  # fmt: skip
    write("train_step", cells=cells)


def measure(overrides: list[str], rounds: int) -> list[dict[str, Any]]:
    """Return a row for the reference, for our step in fp32, and in the configured precision if it is another."""
    config = compose_config(overrides)
    device = device_of(config)
    torch.set_flush_denormal(True)
    full = compose_config([*overrides, "precision=fp32"])
    states = {"reference": reference_state(full, device), "ours, fp32": new_state(full, CLIP_DIM, device)}
    asked = new_state(config, CLIP_DIM, device)
    if asked.precision.name != "fp32":
        states[f"ours, {asked.precision.name}"] = asked
    batch, objective = random_batch(config, device), Objective(config, [], [], None)  # type: ignore[arg-type]

    def steps(state: TrainingState) -> None:
        with state.precision.products():
            for step in range(STEPS):
                train_step(state, batch, objective, step)

    actions = {name: partial(steps, state) for name, state in states.items()}
    flops = {}
    for name, action in actions.items():  # this also warms up
        with Counter() as counter:
            action()
        flops[name] = counter.total / STEPS
    times = in_turns(actions, rounds, device, title=f"{config.resolution} pixels")
    cells = []
    for name, record in times.items():
        each = statistics.median(record) / STEPS
        with states[name].precision.products():
            peak = matrix_products(AUTOCAST.get(name.rpartition(" ")[2], torch.float32), device)
        cells.append({
            "resolution": config.resolution, "step": name, "s/kimg": each * 1000 / config.batch,
            "ratio": ratio(times["reference"], record), "gflop": flops[name] / 1e9,
            "gflop/s": flops[name] / each / 1e9, "peak": peak,
        })  # fmt: skip
    return cells


def reference_state(config: Config, device: torch.device) -> TrainingState:
    """Make a training state with the straightforward networks, contiguous in memory."""
    state = new_state(config, CLIP_DIM, device)
    generator = ReferenceGenerator(config.model, CLIP_DIM, config.resolution).to(device)
    discriminator = ReferenceDiscriminator(config.model, CLIP_DIM, config.resolution).to(device)
    state.generator, state.discriminator = generator, discriminator
    state.generator_ema = copy.deepcopy(generator).requires_grad_(False)
    optimizers = state.generator_optimizer, state.discriminator_optimizer
    for optimizer, network in zip(optimizers, (generator, discriminator), strict=True):
        [group] = optimizer.param_groups
        group["params"] = list(network.parameters())
    return state


def random_batch(config: Config, device: torch.device) -> Batch:
    """Make a batch of noise: the images' content does not change the time."""
    images = torch.rand(config.batch, 3, config.resolution, config.resolution, device=device) * 2 - 1
    unit = torch.nn.functional.normalize(torch.randn(config.batch, CLIP_DIM, device=device))
    return Batch(unit, unit, None, images, unit, None, range(config.batch))


def matrix_products(dtype: torch.dtype, device: torch.device) -> float:
    """Measure the GFLOP/s of a product of two large square matrices, the best of several."""
    edge = GEMM if device.type == "cpu" else 8 * GEMM  # large enough that a GPU's launch does not count
    a, b = (torch.randn(edge, edge, device=device, dtype=dtype) for _ in range(2))
    times = [seconds(lambda: a @ b, device) for _ in range(20)]
    return 2 * edge**3 / min(times) / 1e9


if __name__ == "__main__":
    main()
