"""The networks that a configuration names: this project's own, or LAFITE's."""

from collections.abc import Sequence

from clipgan.config import DiscriminatorConfig, ModelConfig
from clipgan.models.networks.discriminator import Discriminator
from clipgan.models.networks.generator import Generator, TextToImage
from clipgan.models.networks.lafite.discriminator import LafiteDiscriminator
from clipgan.models.networks.lafite.generator import LafiteGenerator
from clipgan.models.networks.projected import ProjectedDiscriminator

AnyDiscriminator = Discriminator | LafiteDiscriminator | ProjectedDiscriminator


def build_generator(model: ModelConfig, clip_dim: int, resolution: int) -> TextToImage:
    """Build a generator with random weights.

    Args:
        model: the architecture and its widths.
        clip_dim: C, the width of CLIP's embedding.
        resolution: R, pixels.
    """
    if model.lafite is not None:
        return LafiteGenerator(model, model.lafite, clip_dim, resolution)
    return Generator(model, clip_dim, resolution)


def build_discriminator(
    model: ModelConfig,
    clip_dim: int,
    resolution: int,
    kind: DiscriminatorConfig | None = None,
    channels: Sequence[int] | None = None,
) -> AnyDiscriminator:
    """Build a discriminator with random weights.

    Args:
        model, clip_dim, resolution: see `build_generator`.
        kind: the architecture; None: the model's own.
        channels: of each layer that a projected D reads; None for any other D.
    """
    if channels is not None:
        assert kind is not None
        assert kind.width is not None
        return ProjectedDiscriminator(channels, kind.width, model.text_dim, clip_dim)
    if model.lafite is not None:
        return LafiteDiscriminator(model, model.lafite, clip_dim, resolution)
    return Discriminator(model, clip_dim, resolution)
