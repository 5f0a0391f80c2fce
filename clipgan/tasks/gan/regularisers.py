"""Compute the lazy regularisers: D's gradient penalties R1 and R2, and G's path length."""

import torch
from torch import Tensor

from clipgan.base.distributed import total, world_size
from clipgan.base.randomness import StepRandom
from clipgan.engine.accumulate import Values
from clipgan.inputs.batches.batches import Batch
from clipgan.models.losses.adversarial import gradient_penalty, path_length_penalty, path_lengths
from clipgan.models.networks.derivatives import gradients_of_inputs_only
from clipgan.models.networks.scales import Scales
from clipgan.tasks.gan.objective import Objective
from clipgan.tasks.gan.passes import augmented, noise, real_images, styles
from clipgan.tasks.gan.state import TrainingState

PATH_LENGTH_DECAY = 0.01  # weight of a batch in the mean path length (StyleGAN2)


def gradient_penalty_step(state: TrainingState, batch: Batch, objective: Objective, random: StepRandom) -> Values:
    """Apply R1 and R2, those that are on: gamma / 2 * E |grad D|^2, times the interval of their steps.

    R1 is the penalty on real images, R2 the penalty on generated ones.
    """
    config = objective.config
    share = 1 / (config.accumulate * world_size())
    gammas = config.gradient_penalties()
    penalties = {name: torch.zeros((), device=batch.images.device) for name in gammas}
    state.discriminator_optimizer.zero_grad(set_to_none=True)
    for part in batch.parts(config.accumulate):
        for name, gamma in gammas.items():
            images = real_images(part, config) if name == "r1" else _generated(state, part, objective, random)
            of_part = _penalty(state, images, part, random, name.upper()) * share
            state.scaler.scale(of_part * (gamma / 2 * config.model.r1_interval)).backward()
            penalties[name] += of_part.detach()
    values = {f"loss/{name}": total(penalty) for name, penalty in penalties.items()}
    state.watch.see_all(values)
    _step_all(state.discriminator_optimizer)
    state.update(state.discriminator_optimizer, "D/gradient_penalty/gradient")
    return values


def _step_all(optimizer: torch.optim.Optimizer) -> None:
    """Give the parameters that a penalty does not depend on, as biases, the gradient 0.

    Adam's rate is lower for all parameters because regularisers make extra steps (see `optimizers.adam`), so all of
    them take these steps, as in StyleGAN2-ADA's public code. A gradient of 0 moves nothing, but it counts in the second
    moment, by which Adam divides.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)


def _penalty(state: TrainingState, images: Scales, batch: Batch, random: StepRandom, use: str) -> Tensor:
    """Compute E |grad D|^2 by the images before augmentation, or by the frozen network's maps that D reads."""

    def leaf(x: Tensor) -> Tensor:
        return x.detach().requires_grad_(True)

    if state.frozen is None:
        images = images.map(leaf)
        logits = state.discriminate(augmented(state, images, batch, random, use), batch.condition).logits
        with gradients_of_inputs_only():
            return gradient_penalty(logits, images.all())
    with torch.no_grad():
        maps = state.frozen(augmented(state, images, batch, random, use).image)
    leaves = [leaf(x) for x in maps]
    logits = state.discriminate_maps(leaves, batch.condition).logits
    with gradients_of_inputs_only():
        return gradient_penalty(logits, leaves)


@torch.no_grad()
def _generated(state: TrainingState, batch: Batch, objective: Objective, random: StepRandom) -> Scales:
    ws = styles(state, batch, objective.config, random, "R2")
    return state.generate(ws, batch.condition, noise(state, batch, random, "R2"))


def path_length_step(state: TrainingState, batch: Batch, objective: Objective, random: StepRandom) -> Values:
    """Apply lazy path-length regularisation on half of the rows, times the interval of its steps.

    Each length is compared with a mean that the whole batch has moved. So micro-batches compute all lengths before, in
    a pass of their own.
    """
    config, model = objective.config, objective.config.model
    share = 1 / (config.accumulate * world_size())
    penalty = torch.zeros((), device=batch.images.device)
    halves, parts = random.halves(), [part.halves(random.block) for part in batch.parts(config.accumulate)]

    def lengths_of(half: Batch) -> Tensor:
        ws = styles(state, half, config, halves, "path length")
        images = state.generate(ws, half.condition, noise(state, half, halves, "path length")).image
        state.watch.see("G/images", images)
        with gradients_of_inputs_only():
            return path_lengths(images, ws, halves.rows("path length direction", half.rows))

    def move_mean(means: list[Tensor]) -> None:
        state.path_length_mean.lerp_(total(torch.stack(means).mean()) / world_size(), PATH_LENGTH_DECAY)

    state.generator_optimizer.zero_grad(set_to_none=True)
    if len(parts) > 1:
        move_mean([lengths_of(half).detach().mean() for half in parts])
    for half in parts:
        lengths = lengths_of(half)
        if len(parts) == 1:
            move_mean([lengths.detach().mean()])
        of_part = path_length_penalty(lengths, state.path_length_mean)
        state.scaler.scale(of_part * (share * model.pl_weight * model.pl_interval)).backward()
        penalty += of_part.detach() * share
    penalty = total(penalty)
    state.watch.see("loss/path_length", penalty)
    _step_all(state.generator_optimizer)
    state.update(state.generator_optimizer, "G/path_length/gradient")
    return {"loss/path_length": penalty, "path_length": state.path_length_mean.clone()}
