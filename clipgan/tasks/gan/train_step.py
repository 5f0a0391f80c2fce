"""Do one training step: D, G, the lazy regularisers, the moving average; eagerly, or recorded and repeated."""

from functools import partial
from typing import NamedTuple

import torch

from clipgan.base.distributed import world_size
from clipgan.base.randomness import StepRandom
from clipgan.config import Config
from clipgan.engine.accumulate import Values
from clipgan.engine.cpu_graph import CpuCapture
from clipgan.engine.step_graphs import CudaCapture, StepGraphs, StepOutputs
from clipgan.inputs.batches.batches import Batch
from clipgan.tasks.gan.ema import ema_decay
from clipgan.tasks.gan.objective import Objective
from clipgan.tasks.gan.regularisers import gradient_penalty_step, path_length_step
from clipgan.tasks.gan.state import TrainingState
from clipgan.tasks.gan.steps import discriminator_step, generator_step, online_features

EAGER_RUNS = 20  # of a kind of step on a CPU before it is recorded, which takes as long as a dozen repetitions save
AHEAD = 64  # steps whose kinds must have run on a GPU before one of them is recorded


class Due(NamedTuple):
    """What a step computes beside the adversarial losses. Steps with an equal `Due` have the same operations."""

    contrast: bool
    gradient_penalty: bool
    path_length: bool


def due_at(config: Config, step: int) -> Due:
    """Return what is due in a step (0, 1, ...)."""
    model = config.model
    return Due(
        step % config.contrast.every == 0,
        bool(config.gradient_penalties()) and step % model.r1_interval == 0,
        bool(model.pl_weight) and step % model.pl_interval == 0,
    )


def graphs_of(config: Config, state: TrainingState, device: torch.device) -> StepGraphs[Batch] | None:
    """Return empty graphs for the state's steps, or None if the steps run eagerly."""
    if config.graphs == "off" or world_size() > 1 or config.compile is not None:
        return None
    must = config.graphs == "on"
    if device.type == "cuda":
        upcoming = partial(kinds_ahead, config, state)
        return StepGraphs(CudaCapture(device), state.reset, must, upcoming=upcoming)
    return StepGraphs(CpuCapture(state.forget_gradients), state.reset, must, eager_runs=1 if must else EAGER_RUNS)


def kinds_ahead(config: Config, state: TrainingState) -> set[Due]:
    """The kinds of the state's next steps."""
    return {due_at(config, step) for step in range(state.step, state.step + AHEAD)}


def train_step(
    state: TrainingState, batch: Batch, objective: Objective, step: int, graphs: StepGraphs[Batch] | None = None
) -> Values:
    """Do one step and return values to log; with `graphs`, which record the step and repeat it, or else eagerly."""
    config, due = objective.config, due_at(objective.config, step)
    random = StepRandom(config.seed, step, min(config.model.mbstd_group, config.batch), batch.images.device)
    objective = objective.at(step)

    def compute(batch: Batch, random: StepRandom) -> StepOutputs:
        return compute_step(state, batch, objective, random, due)

    outputs = compute(batch, random) if graphs is None else graphs.run(due, batch, random, compute)
    values = outputs.values | state.augmentation.end_step(step, outputs.values["logits/real_sign"])
    state.watch.keep(step, outputs.watched)
    state.step = step + 1
    decay = ema_decay(config.model, state.step * config.batch, config.batch, fine_tuning=config.init is not None)
    state.moving_average.update(decay)
    return values


def compute_step(state: TrainingState, batch: Batch, objective: Objective, random: StepRandom, due: Due) -> StepOutputs:
    """Update D and G once, and by the regularisers that are due. All of this can be recorded."""
    if state.compiled:
        torch.compiler.cudagraph_mark_step_begin()  # this step may overwrite the outputs of the last step's graphs
    batch = online_features(batch, objective)
    values, semantic = discriminator_step(state, batch, objective, random)
    values |= generator_step(state, batch, semantic, objective, random)
    with state.differentiated_twice():
        if due.gradient_penalty:
            values |= gradient_penalty_step(state, batch, objective, random)
        if due.path_length:
            values |= path_length_step(state, batch, objective, random)
    state.watch.see_all(values)
    return StepOutputs(values, state.watch.take())
