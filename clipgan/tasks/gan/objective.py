"""What the steps of a training minimise: the terms of both networks, and the spaces that they compare images in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from clipgan.config import Config
from clipgan.models.losses.structure import Term
from clipgan.tasks.gan.spaces import FrozenSpaces


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
