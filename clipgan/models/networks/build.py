"""The networks that a configuration names: this project's own, or LAFITE's."""

from clipgan.config import ModelConfig
from clipgan.models.networks.discriminator import Discriminator
from clipgan.models.networks.generator import Generator, TextToImage
from clipgan.models.networks.lafite.discriminator import LafiteDiscriminator
from clipgan.models.networks.lafite.generator import LafiteGenerator

AnyDiscriminator = Discriminator | LafiteDiscriminator


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


def build_discriminator(model: ModelConfig, clip_dim: int, resolution: int) -> AnyDiscriminator:
    """Build a discriminator with random weights; see `build_generator` for the arguments."""
    if model.lafite is not None:
        return LafiteDiscriminator(model, model.lafite, clip_dim, resolution)
    return Discriminator(model, clip_dim, resolution)
