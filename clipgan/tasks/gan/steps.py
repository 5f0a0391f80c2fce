"""Compute the two steps of the training algorithm: discriminator and generator.

Shapes: N batch, M logits of an image, L layers, W style width, C width of CLIP's embedding.
"""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from clipgan.base.distributed import total, world_size
from clipgan.base.randomness import StepRandom
from clipgan.base.vectors import unit
from clipgan.engine.accumulate import Embeddings, Values, backward
from clipgan.engine.branches import Branches
from clipgan.inputs.batches.batches import Batch, Targets
from clipgan.models.losses.adversarial import GAMES, discriminator_loss, generator_loss
from clipgan.models.losses.structure import weighted_sum
from clipgan.models.networks.discriminator import DiscriminatorOutput
from clipgan.tasks.gan.contrast import contrast
from clipgan.tasks.gan.objective import Objective
from clipgan.tasks.gan.passes import discriminate, discriminate_both, noise, real_images, styles
from clipgan.tasks.gan.state import TrainingState
from clipgan.tasks.gan.view import view_of


@torch.no_grad()
def online_features(batch: Batch, objective: Objective) -> Batch:
    """With `features=online`, compute the image features for the terms' targets, once for both networks."""
    if objective.config.features != "online":
        return batch
    terms = [term for term in (*objective.generator_terms, *objective.discriminator_terms) if term.pair == "ii"]
    parts = batch.parts(objective.config.accumulate)

    def computed(space: str) -> Tensor:
        return torch.cat([objective.spaces.embed(space, part.images) for part in parts])

    if any(term.space == "CLIP" or term.phase == "D" for term in terms):
        batch = replace(batch, clip_image=computed("CLIP"))
    if any(term.space == "ResNet" for term in terms):
        batch = replace(batch, resnet_image=computed("ResNet"))
    return batch


def discriminator_step(
    state: TrainingState, batch: Batch, objective: Objective, random: StepRandom
) -> tuple[Values, Tensor]:
    """Update D once on its adversarial loss + its contrastive terms on the real images.

    Returns:
        Values to log, and f_D(x) before the update, [N, C] of unit length, without gradient.
    """
    config, terms = objective.config, objective.discriminator_terms
    state.discriminator.begin_step()
    with torch.no_grad():
        ws = styles(state, batch, config, random, "D")
        state.generator.mapping.track(total(ws[:, 0].mean(dim=0)) / world_size())
    logits: list[Values] = []  # what is logged of each part
    semantic: list[Tensor] = []  # f_D(x) of each part

    def forward(part: Batch) -> tuple[Tensor, Embeddings]:
        with torch.no_grad():
            fake = state.generate(ws[batch.place(part.rows)], part.condition, noise(state, part, random, "D"))
        state.watch.see("G/images", fake.image)
        fake_logits, real = discriminate_both(state, fake, real_images(part, config), part, random)
        logits.append(_means(fake_logits, real))
        semantic.append(unit(real.semantic))
        loss = discriminator_loss(config.adversarial, fake_logits, real.logits, real.mismatched)
        return loss, state.temperatures.scaled("D", {"D": semantic[-1]}) if terms else {}

    def embed(part: Batch) -> Embeddings:
        if not terms:
            return {}
        judged = discriminate(state, real_images(part, config), part, random, "D real")
        return state.temperatures.scaled("D", {"D": unit(judged.semantic)})

    def target(of: Targets, space: str, pair: str) -> Tensor:
        return objective.spaces.target("CLIP", pair, of)  # f_D has CLIP's width and learns CLIP's features

    contrastive = partial(contrast, terms, target=target, config=config, watch=state.watch)
    state.discriminator_optimizer.zero_grad(set_to_none=True)
    parts = batch.parts(config.accumulate)
    adversarial, values = backward(
        parts, forward, contrastive, embed if config.contrast.grad_cache else None, state.scaler
    )
    state.watch.see_all({"loss/D_adversarial": adversarial, **values})
    state.update(state.discriminator_optimizer, "D/gradient")
    state.temperatures.clamp("D")
    means = total(torch.stack([torch.stack(list(part.values())) for part in logits]).mean(dim=0)) / world_size()
    values = {
        "loss/D": adversarial + weighted_sum(terms, values),
        "loss/D_adversarial": adversarial,
        **dict(zip(logits[0], means.unbind(), strict=True)),
        **values,
        **state.temperatures.values("D"),
    }
    return values, torch.cat(semantic).detach()


def _means(fake_logits: Tensor, real: DiscriminatorOutput) -> Values:
    """Return the means of D's logits by their names in the logs, without gradient."""
    real_logits = real.logits.detach()
    means = {
        "logits/real": real_logits.mean(),
        "logits/fake": fake_logits.detach().mean(),
        "logits/real_sign": real_logits.sign().mean(),  # r_t of arXiv:2006.06676: 0: D cannot tell, 1: D overfits
    }
    if real.mismatched is not None:
        means["logits/mismatched"] = real.mismatched.detach().mean()
    return means


def generator_step(
    state: TrainingState, batch: Batch, semantic: Tensor, objective: Objective, random: StepRandom
) -> Values:
    """Update G once on its adversarial loss + its contrastive terms.

    Args:
        semantic: f_D(x), [N, C] of unit length, from the discriminator's step: another pass would cost as much as the
            encoders do.
    """
    config, terms, spaces = objective.config, objective.generator_terms, objective.spaces
    state.train_discriminator(False)

    def forward(part: Batch) -> tuple[Tensor, Embeddings]:
        ws = styles(state, part, config, random, "G")
        fake = state.generate(ws, part.condition, noise(state, part, random, "G"))
        needed = dict.fromkeys(term.space for term in terms)
        branches = Branches()
        state.watch.see("G/images", fake.image)
        judged = discriminate(state, fake, part, random, "G")
        embedded = {
            space: unit(judged.semantic) if space == "D" else branches.run(partial(embed, space), fake.image)
            for space in needed
        }
        branches.join()
        loss = generator_loss(config.adversarial, judged.logits, real_logits(part))
        return loss, state.temperatures.scaled("G", embedded)

    @torch.no_grad()
    def real_logits(part: Batch) -> Tensor | None:
        """Run the same D on the real images, if the loss compares their logits with those of the generated ones."""
        if not GAMES[config.adversarial.name].relative:
            return None
        return discriminate(state, real_images(part, config), part, random, "G real").logits

    def embed(space: str, images: Tensor) -> Tensor:
        view = view_of(config.loss.view, spaces.encoder(space).preprocess, config.resolution, random, f"{space} view")
        return spaces.embed(space, images, view)

    def target(of: Targets, space: str, pair: str) -> Tensor | None:
        if space == "D" and pair == "ii":  # no cache has f_D
            return semantic[batch.place(of.rows)] if isinstance(of, Batch) else None
        return spaces.target("CLIP" if space == "D" else space, pair, of)

    contrastive = partial(contrast, terms, target=target, config=config, watch=state.watch)
    state.generator_optimizer.zero_grad(set_to_none=True)
    cached = (lambda part: forward(part)[1]) if config.contrast.grad_cache else None
    adversarial, values = backward(batch.parts(config.accumulate), forward, contrastive, cached, state.scaler)
    state.watch.see_all({"loss/G_adversarial": adversarial, **values})
    state.update(state.generator_optimizer, "G/gradient")
    state.temperatures.clamp("G")
    state.train_discriminator(True)
    loss = adversarial + weighted_sum(terms, values)
    return {"loss/G": loss, "loss/G_adversarial": adversarial, **values, **state.temperatures.values("G")}
