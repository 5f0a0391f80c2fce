"""Compute the steps of the training algorithm: discriminator, generator, and the two lazy regularisers.

Shapes: N batch, K further targets, L layers, W style width, C width of CLIP's embedding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from clipgan.base.distributed import gather, total, world_size
from clipgan.base.randomness import StepRandom
from clipgan.base.vectors import unit
from clipgan.config import Config, PairsConfig
from clipgan.engine.accumulate import Embeddings, Values, backward
from clipgan.engine.divergence import Watch
from clipgan.inputs.batches.batches import Batch, Targets
from clipgan.inputs.encoders.preprocess import Resizing
from clipgan.models.losses.adversarial import (
    discriminator_loss,
    generator_loss,
    path_length_penalty,
    path_lengths,
    r1_penalty,
)
from clipgan.models.losses.contrastive import ALL_PLAIN
from clipgan.models.losses.pairs import Selections, select
from clipgan.models.losses.structure import Term, structure_loss, weighted_sum
from clipgan.models.networks.discriminator import Judgement
from clipgan.models.networks.scales import Scales, scales_of
from clipgan.tasks.gan.spaces import FrozenSpaces
from clipgan.tasks.gan.state import TrainingState
from clipgan.tasks.gan.view import view_of

PATH_LENGTH_DECAY = 0.01  # weight of a batch in the mean path length (StyleGAN2)


@dataclass(frozen=True)
class Objective:
    """The objective of the networks."""

    config: Config
    generator_terms: Sequence[Term]
    discriminator_terms: Sequence[Term]
    spaces: FrozenSpaces

    def at(self, step: int) -> "Objective":
        """Return one step's objective: with `contrast.every` = k, only each k-th step has terms, k times as heavy."""
        every = self.config.contrast.every
        if every == 1:
            return self
        generator, discriminator = (
            [term.times(every) for term in terms] if step % every == 0 else []
            for terms in (self.generator_terms, self.discriminator_terms)
        )
        return replace(self, generator_terms=generator, discriminator_terms=discriminator)


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
    """Update D once on softplus(D(g)) + softplus(-D(x)) + its contrastive terms on the real images.

    Returns:
        Values to log, and f_D(x) before the update, [N, C] of unit length, without gradient.
    """
    config, terms = objective.config, objective.discriminator_terms
    with torch.no_grad():
        ws = _styles(state, batch, objective, random, "D")
        state.generator.mapping.track(total(ws[:, 0].mean(dim=0)) / world_size())
    logits: list[Tensor] = []  # means over the rows of each part
    semantic: list[Tensor] = []  # f_D(x) of each part

    def forward(part: Batch) -> tuple[Tensor, Embeddings]:
        with torch.no_grad():
            fake = state.generate(ws[batch.place(part.rows)], part.condition, _noise(state, part, random, "D"))
        state.watch.see("G/images", fake.image)
        fake_logits, real = _judge_both(state, fake, _real(part, config), part, random)
        real_logits = real.logits.detach()
        logits.append(torch.stack([real_logits.mean(), fake_logits.detach().mean(), real_logits.sign().mean()]))
        semantic.append(unit(real.semantic))
        return discriminator_loss(fake_logits, real.logits), {"D": semantic[-1]} if terms else {}

    def embed(part: Batch) -> Embeddings:
        return {"D": unit(_judge(state, _real(part, config), part, random, "D real").semantic)} if terms else {}

    def target(of: Targets, space: str, pair: str) -> Tensor:
        return objective.spaces.target("CLIP", pair, of)  # f_D has CLIP's width and learns CLIP's features

    contrast = partial(_contrast, terms, target=target, config=config, watch=state.watch)
    state.discriminator_optimizer.zero_grad(set_to_none=True)
    parts = batch.parts(config.accumulate)
    adversarial, values = backward(
        parts, forward, contrast, embed if config.contrast.grad_cache else None, state.scaler
    )
    state.watch.see_all({"loss/D_adversarial": adversarial, **values})
    state.update(state.discriminator_optimizer, "D/gradient")
    real, fake, sign = total(torch.stack(logits).mean(dim=0)) / world_size()
    values = {
        "loss/D": adversarial + weighted_sum(terms, values),
        "loss/D_adversarial": adversarial,
        "logits/real": real,
        "logits/fake": fake,
        "logits/real_sign": sign,  # r_t of arXiv:2006.06676: 0 for a D that cannot tell, 1 for one that overfits
        **values,
    }
    return values, torch.cat(semantic).detach()


def generator_step(
    state: TrainingState, batch: Batch, semantic: Tensor, objective: Objective, random: StepRandom
) -> Values:
    """Update G once on softplus(-D(g)) + its contrastive terms.

    Args:
        semantic: f_D(x), [N, C] of unit length, from the discriminator's step: another pass would cost as much as the
            encoders do.
    """
    config, terms, spaces = objective.config, objective.generator_terms, objective.spaces
    state.train_discriminator(False)

    def forward(part: Batch) -> tuple[Tensor, Embeddings]:
        ws = _styles(state, part, objective, random, "G")
        fake = state.generate(ws, part.condition, _noise(state, part, random, "G"))
        state.watch.see("G/images", fake.image)
        judged = _judge(state, fake, part, random, "G")
        needed = dict.fromkeys(term.space for term in terms)
        embedded = {
            space: unit(judged.semantic) if space == "D" else spaces.embed(space, fake.image, view(space))
            for space in needed
        }
        return generator_loss(judged.logits), embedded

    def view(space: str) -> Resizing | None:
        return view_of(config.loss.view, spaces.encoder(space).preprocess, config.resolution, random, f"{space} view")

    def target(of: Targets, space: str, pair: str) -> Tensor | None:
        if space == "D" and pair == "ii":  # no cache has f_D
            return semantic[batch.place(of.rows)] if isinstance(of, Batch) else None
        return spaces.target("CLIP" if space == "D" else space, pair, of)

    contrast = partial(_contrast, terms, target=target, config=config, watch=state.watch)
    state.generator_optimizer.zero_grad(set_to_none=True)
    embed = (lambda part: forward(part)[1]) if config.contrast.grad_cache else None
    adversarial, values = backward(batch.parts(config.accumulate), forward, contrast, embed, state.scaler)
    state.watch.see_all({"loss/G_adversarial": adversarial, **values})
    state.update(state.generator_optimizer, "G/gradient")
    state.train_discriminator(True)
    return {"loss/G": adversarial + weighted_sum(terms, values), "loss/G_adversarial": adversarial, **values}


def r1_step(state: TrainingState, batch: Batch, objective: Objective, random: StepRandom) -> Values:
    """Apply lazy R1: gamma / 2 * E |grad D(x)|^2, times the interval of its steps; x is not augmented yet."""
    config, model = objective.config, objective.config.model
    share = 1 / (config.accumulate * world_size())
    penalty = torch.zeros((), device=batch.images.device)
    state.discriminator_optimizer.zero_grad(set_to_none=True)
    for part in batch.parts(config.accumulate):
        real = _real(part, config).map(lambda images: images.detach().requires_grad_(True))
        of_part = r1_penalty(_judge(state, real, part, random, "R1").logits, real.all()) * share
        state.scaler.scale(of_part * (model.r1_gamma / 2 * model.r1_interval)).backward()
        penalty += of_part.detach()
    penalty = total(penalty)
    state.watch.see("loss/r1", penalty)
    state.update(state.discriminator_optimizer, "D/r1/gradient")
    return {"loss/r1": penalty}


def path_length_step(state: TrainingState, batch: Batch, objective: Objective, random: StepRandom) -> Values:
    """Apply lazy path-length regularisation on half of the rows, times the interval of its steps."""
    config, model = objective.config, objective.config.model
    share = 1 / (config.accumulate * world_size())
    penalty = torch.zeros((), device=batch.images.device)
    halves = random.halves()
    state.generator_optimizer.zero_grad(set_to_none=True)
    for part in batch.parts(config.accumulate):
        half = part.halves(random.block)
        ws = _styles(state, half, objective, halves, "path length")
        images = state.generate(ws, half.condition, _noise(state, half, halves, "path length")).image
        state.watch.see("G/images", images)
        lengths = path_lengths(images, ws, halves.rows("path length direction", half.rows))
        everywhere = total(lengths.mean()) / world_size()
        state.path_length_mean.lerp_(everywhere, PATH_LENGTH_DECAY)
        of_part = path_length_penalty(lengths, state.path_length_mean)
        state.scaler.scale(of_part * (share * model.pl_weight * model.pl_interval)).backward()
        penalty += of_part.detach() * share
    penalty = total(penalty)
    state.watch.see("loss/path_length", penalty)
    state.update(state.generator_optimizer, "G/path_length/gradient")
    return {"loss/path_length": penalty, "path_length": state.path_length_mean.clone()}


def _real(batch: Batch, config: Config) -> Scales:
    return scales_of(batch.images, config.model.multi_scale)


def _judge(state: TrainingState, images: Scales, batch: Batch, random: StepRandom, use: str) -> Judgement:
    """Run D on augmented images; the same `use` always gets the same augmentation."""
    return state.judge(_augmented(state, images, batch, random, use), batch.condition)


def _judge_both(
    state: TrainingState, fake: Scales, real: Scales, batch: Batch, random: StepRandom
) -> tuple[Tensor, Judgement]:
    """Run D on generated and real images: the logits of the generated ones, and all outputs for the real ones.

    One pass over both costs less than two passes.
    """
    if not state.discriminator.joinable(len(batch.rows)):
        return _judge(state, fake, batch, random, "D fake").logits, _judge(state, real, batch, random, "D real")
    images = [_augmented(state, of, batch, random, use) for of, use in ((fake, "D fake"), (real, "D real"))]
    first, *smaller = (torch.cat(pair) for pair in zip(*(scales.all() for scales in images), strict=True))
    judged = state.judge(Scales(first, tuple(smaller)), batch.condition.repeat(2, 1))
    fake_logits, real_logits = judged.logits.chunk(2)
    return fake_logits, Judgement(real_logits, judged.semantic[len(batch.rows) :])


def _augmented(state: TrainingState, images: Scales, batch: Batch, random: StepRandom, use: str) -> Scales:
    return state.augmentation(images, lambda: random.rows(f"{use} augmentation", batch.rows))


def _styles(state: TrainingState, batch: Batch, objective: Objective, random: StepRandom, use: str) -> Tensor:
    """Make styles from new latents, and mix two latents with the model's probability: [N, L, W]."""
    generator = state.generator
    shape = (len(batch.rows), generator.z_dim)
    probability, layers = objective.config.model.style_mixing, generator.n_styles

    def choose(uniform: torch.Generator) -> int:
        chance, place = torch.rand(2, generator=uniform).tolist()
        return 1 + int(place * (layers - 1)) if chance < probability else layers

    crossover = random.integer(f"{use} style mixing", choose)
    first, second = (random.rows(f"{use} {which} latent", batch.rows)(shape) for which in ("first", "second"))
    return generator.mix(first, second, crossover)


def _noise(state: TrainingState, batch: Batch, random: StepRandom, use: str) -> list[Tensor]:
    """Draw noise for each layer of G: [N, 1, size, size]."""
    return state.generator.draw_noise(len(batch.rows), random.rows(f"{use} noise", batch.rows))


def _contrast(
    terms: Sequence[Term],
    embedded: Embeddings,
    parts: Sequence[Batch],
    target: Callable[[Targets, str, str], Tensor | None],
    config: Config,
    watch: Watch,
) -> tuple[Tensor | float, Values]:
    """Compute the terms over the rows of `parts` in all processes, against their targets and the further targets."""
    if not terms:
        return 0.0, {}
    further, network = parts[0].further, terms[0].phase
    for space, embeddings in embedded.items():
        watch.see(f"{network}/{space}/embedding", embeddings)

    @torch.no_grad()
    def targets(space: str, pair: str) -> Tensor:
        rows = gather(torch.cat([_present(target(part, space, pair)) for part in parts]))
        watch.see(f"{network}/{space}/{pair}/target", rows)
        more = None if further is None else target(further, space, pair)
        return rows if more is None else torch.cat([rows, more])

    images = {space: gather(rows) for space, rows in embedded.items()}
    return structure_loss(terms, images, targets, _select(config.pairs, parts))


@torch.no_grad()
def _select(pairs: PairsConfig, parts: Sequence[Batch]) -> Selections:
    """Select pairs by the cached features of all processes' rows and of the further targets."""
    if pairs.name == "plain":
        return ALL_PLAIN
    further = parts[0].further
    text, image = (gather(torch.cat([getattr(part, name) for part in parts])) for name in ("text", "clip_image"))
    anchors, more = (text, "text") if pairs.similarity == "text" else (image, "clip_image")
    candidates = anchors if further is None else torch.cat([anchors, getattr(further, more)])
    return select(pairs, anchors @ candidates.T, (text * image).sum(dim=1))


def _present(target: Tensor | None) -> Tensor:
    assert target is not None  # every row of a batch has its targets
    return target
