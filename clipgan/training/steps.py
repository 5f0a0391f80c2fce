"""The steps of the training algorithm: discriminator, generator, and the two lazy regularisers.

Shapes: N batch, R resolution, L layers, W style width, C width of CLIP's embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clipgan.config import ModelConfig
from clipgan.data.batches import Batch
from clipgan.losses.adversarial import discriminator_loss, generator_loss, path_length_penalty, r1_penalty
from clipgan.losses.contrastive import unit
from clipgan.losses.structure import Term, structure_loss
from clipgan.networks.discriminator import Judgement
from clipgan.training.spaces import FrozenSpaces
from clipgan.training.state import TrainingState


@dataclass(frozen=True)
class Objective:
    """What the networks are trained on besides the adversarial loss."""

    model: ModelConfig
    generator_terms: Sequence[Term]
    discriminator_terms: Sequence[Term]
    spaces: FrozenSpaces


def condition_on(text: Tensor, level: float, random: torch.Generator) -> Tensor:
    """LAFITE's text condition (arXiv:2111.13792, eq. 3): u plus noise of length `level`, scaled back to unit length.

    Args:
        text: u, [N, C], unit length.
        level: length of the noise relative to u; 0 leaves u as it is.
        random: draws the noise.
    """
    if level == 0:
        return text
    noise = torch.randn(text.shape, generator=random, device=text.device)
    return unit(text + level * unit(noise))


def _latents(state: TrainingState, count: int, random: torch.Generator) -> Tensor:
    device = state.path_length_mean.device
    return torch.randn(count, state.generator.z_dim, generator=random, device=device)


def discriminator_step(
    state: TrainingState, batch: Batch, objective: Objective, random: torch.Generator
) -> dict[str, Tensor]:
    """One update of D on softplus(D(g)) + softplus(-D(x)) + its contrastive terms on the real images."""
    condition = condition_on(batch.text, objective.model.text_noise, random)
    with torch.no_grad():
        ws = state.generator.mix(_latents(state, len(condition), random), objective.model.style_mixing, random)
        fake = state.generator.synthesise(ws, condition, random)
    fake_logits = state.discriminator(fake, condition).logits
    real: Judgement = state.discriminator(batch.images, condition)

    def target(space: str, pair: str) -> Tensor:
        if pair == "it":
            return batch.text
        return objective.spaces.image_target("CLIP", batch)  # f_D is as wide as CLIP and learns its features

    adversarial = discriminator_loss(fake_logits, real.logits)
    contrastive, values = structure_loss(objective.discriminator_terms, lambda space: unit(real.semantic), target)
    loss = adversarial + contrastive
    _update(state.discriminator_optimizer, loss)
    return {
        "loss/D": loss.detach(),
        "loss/D_adversarial": adversarial.detach(),
        "logits/real": real.logits.detach().mean(),
        "logits/fake": fake_logits.detach().mean(),
        **values,
    }


def generator_step(
    state: TrainingState, batch: Batch, objective: Objective, random: torch.Generator
) -> dict[str, Tensor]:
    """One update of G on softplus(-D(g)) + its contrastive terms."""
    state.discriminator.requires_grad_(False)
    condition = condition_on(batch.text, objective.model.text_noise, random)
    ws = state.generator.mix(_latents(state, len(condition), random), objective.model.style_mixing, random)
    fake = state.generator.synthesise(ws, condition, random)
    judged: Judgement = state.discriminator(fake, condition)

    def embed(space: str) -> Tensor:
        return unit(judged.semantic) if space == "D" else objective.spaces.embed(space, fake)

    def target(space: str, pair: str) -> Tensor:
        if pair == "it":
            return objective.spaces.text_target(space, batch.text)
        if space == "D":
            with torch.no_grad():
                return unit(state.discriminator(batch.images, condition).semantic)
        return objective.spaces.image_target(space, batch)

    adversarial = generator_loss(judged.logits)
    contrastive, values = structure_loss(objective.generator_terms, embed, target)
    loss = adversarial + contrastive
    _update(state.generator_optimizer, loss)
    state.discriminator.requires_grad_(True)
    return {"loss/G": loss.detach(), "loss/G_adversarial": adversarial.detach(), **values}


def r1_step(state: TrainingState, batch: Batch, objective: Objective, random: torch.Generator) -> dict[str, Tensor]:
    """Lazy R1: gamma / 2 * E |grad D(x)|^2, times the interval at which it is called."""
    model = objective.model
    images = batch.images.detach().requires_grad_(True)
    logits = state.discriminator(images, condition_on(batch.text, model.text_noise, random)).logits
    penalty = r1_penalty(logits, images)
    _update(state.discriminator_optimizer, penalty * (model.r1_gamma / 2 * model.r1_interval))
    return {"loss/r1": penalty.detach()}


def path_length_step(
    state: TrainingState, batch: Batch, objective: Objective, random: torch.Generator
) -> dict[str, Tensor]:
    """Lazy path-length regularisation on half a batch, times the interval at which it is called."""
    model = objective.model
    text = batch.text[: max(1, len(batch.text) // 2)]
    ws = state.generator.mix(_latents(state, len(text), random), model.style_mixing, random)
    images = state.generator.synthesise(ws, condition_on(text, model.text_noise, random), random)
    penalty, state.path_length_mean = path_length_penalty(images, ws, state.path_length_mean, generator=random)
    _update(state.generator_optimizer, penalty * (model.pl_weight * model.pl_interval))
    return {"loss/path_length": penalty.detach(), "path_length": state.path_length_mean}


def _update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
