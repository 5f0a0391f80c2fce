"""The passes through G and D that a step consists of: styles and noise, augmented images, D's outputs.

In all of them, `use` names the purpose of a pass, such as `D fake`: each purpose has random draws of its own.

Shapes: N batch, L layers, W style width.
"""

import torch
from torch import Tensor

from clipgan.base.randomness import StepRandom
from clipgan.config import Config
from clipgan.inputs.batches.batches import Batch
from clipgan.models.networks.discriminator import DiscriminatorOutput
from clipgan.models.networks.scales import Scales, scales_of
from clipgan.tasks.gan.state import TrainingState


def styles(state: TrainingState, batch: Batch, config: Config, random: StepRandom, use: str) -> Tensor:
    """Make styles from new latents, and mix two latents with the model's probability: [N, L, W]."""
    generator = state.generator
    shape = (len(batch.rows), generator.z_dim)
    probability, layers = config.model.style_mixing, generator.n_styles

    def choose(uniform: torch.Generator) -> int:
        chance, place = torch.rand(2, generator=uniform).tolist()
        return 1 + int(place * (layers - 1)) if chance < probability else layers

    crossover = random.integer(f"{use} style mixing", choose)
    first, second = (random.rows(f"{use} {which} latent", batch.rows)(shape) for which in ("first", "second"))
    return generator.mix(first, second, crossover)


def noise(state: TrainingState, batch: Batch, random: StepRandom, use: str) -> list[Tensor]:
    """Draw noise for each layer of G: [N, 1, size, size]."""
    return state.generator.draw_noise(len(batch.rows), random.rows(f"{use} noise", batch.rows))


def real_images(batch: Batch, config: Config) -> Scales:
    """Return the batch's images at all scales that D reads."""
    return scales_of(batch.images, config.model.multi_scale)


def augmented(state: TrainingState, images: Scales, batch: Batch, random: StepRandom, use: str) -> Scales:
    """Augment images for D; the same `use` always gets the same augmentation."""
    return state.augmentation(images, lambda: random.rows(f"{use} augmentation", batch.rows))


def discriminate(
    state: TrainingState, images: Scales, batch: Batch, random: StepRandom, use: str, mismatched: Tensor | None = None
) -> DiscriminatorOutput:
    """Run D on augmented images with the batch's conditions, and with `mismatched` ones."""
    return state.discriminate(augmented(state, images, batch, random, use), batch.condition, mismatched)


def discriminate_both(
    state: TrainingState, fake: Scales, real: Scales, batch: Batch, random: StepRandom
) -> tuple[Tensor, DiscriminatorOutput]:
    """Run D on generated and real images: the logits of the generated ones, and all outputs for the real ones.

    One pass over both costs less than two passes.
    """
    rows, mismatched = len(batch.rows), batch.mismatched
    if not state.discriminator.joinable(rows):
        fake_logits = discriminate(state, fake, batch, random, "D fake").logits
        return fake_logits, discriminate(state, real, batch, random, "D real", mismatched)
    images = [augmented(state, of, batch, random, use) for of, use in ((fake, "D fake"), (real, "D real"))]
    first, *smaller = (torch.cat(pair) for pair in zip(*(scales.all() for scales in images), strict=True))
    others = None if mismatched is None else mismatched.repeat(2, 1)  # the half of the generated images is not used
    judged = state.discriminate(Scales(first, tuple(smaller)), batch.condition.repeat(2, 1), others)
    fake_logits, real_logits = judged.logits.chunk(2)
    other_logits = None if judged.mismatched is None else judged.mismatched[rows:]
    return fake_logits, DiscriminatorOutput(real_logits, judged.semantic[rows:], other_logits)
