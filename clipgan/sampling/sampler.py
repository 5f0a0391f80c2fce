"""Prompt and seed to picture: the same one always, however many are asked for at a time.

Shapes: C width of CLIP's embedding, W style width, R resolution.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from clipgan.base.errors import UserError
from clipgan.base.pictures import to_uint8
from clipgan.base.randomness import stream
from clipgan.config import ClipConfig
from clipgan.inputs.encoders.clip import FrozenClip, load_clip
from clipgan.models.networks.build import build_generator
from clipgan.models.networks.generator import TextToImage
from clipgan.sampling.source import Source


class Sampler:
    """A generator and the CLIP that tells it what a prompt means.

    Each picture is made by itself: a batch would change its last bits, and with them now and then a pixel.
    """

    def __init__(self, generator: TextToImage, clip: FrozenClip, device: torch.device) -> None:
        """`generator` in evaluation mode, both on `device`."""
        self.generator, self.clip, self.device = generator, clip, device

    def condition(self, prompt: str) -> Tensor:
        """What G is told: the prompt's CLIP embedding at unit length, [1, C]."""
        return self.clip.encode_text([prompt])

    @torch.no_grad()
    def style(self, seed: int) -> Tensor:
        """w of a seed's latent, [1, W], not truncated."""
        z = torch.randn(1, self.generator.z_dim, generator=stream(seed, "sample latent"))
        return self.generator.mapping(z.to(self.device))

    def image(self, condition: Tensor, seed: int, truncation: float = 1.0) -> Tensor:
        """The picture of a condition [1, C] and a seed: uint8 [3, R, R], on the CPU."""
        return self.synthesise(self.style(seed), condition, seed, truncation)

    @torch.no_grad()
    def synthesise(self, w: Tensor, condition: Tensor, seed: int, truncation: float) -> Tensor:
        """The picture of a style [1, W], a condition [1, C] and the noise of a seed: uint8 [3, R, R], on the CPU."""
        random = stream(seed, "sample noise")  # of the CPU, so that a GPU draws the same

        def draw(shape: Sequence[int]) -> Tensor:
            return torch.randn(*shape, generator=random).to(self.device)

        ws = self.generator.broadcast(self.generator.mapping.truncate(w, truncation))
        return to_uint8(self.generator.synthesise(ws, condition, self.generator.draw_noise(1, draw)))[0].cpu()


def open_sampler(source: Source, device: torch.device, clip_checkpoint: str | None = None) -> Sampler:
    """The generator's moving average and its CLIP, loaded.

    Args:
        source: what was trained.
        device: where both live.
        clip_checkpoint: the CLIP's weights file; None: where the run had them.

    Raises:
        UserError: the CLIP's weights are missing, are others than the run's, or do not fit the generator.
    """
    config = source.config
    clip = recorded_clip(config.clip, source.clip, clip_checkpoint, device)
    generator = build_generator(config.model, clip.dim, config.resolution)
    try:
        generator.load_state_dict(source.generator)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"clip={config.clip.name} and {source.name} do not fit: {reason}") from error
    generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Sampler(generator.eval().requires_grad_(False), clip, device)


def recorded_clip(
    config: ClipConfig,
    record: Mapping[str, str] | None,
    checkpoint: str | None,
    device: torch.device,
    key: str = "clip",
) -> FrozenClip:
    """A run's CLIP: from `checkpoint`, else from the file that it had, else as its configuration says. It never trains.

    Args:
        config: how the run named it.
        record: what the run wrote down of it (`FrozenClip.record`); None: nothing, and nothing is compared.
        checkpoint: its weights file.
        key: what it is called on the command line.

    Raises:
        UserError: its weights are nowhere, or are others.
    """
    if checkpoint is not None and not Path(checkpoint).is_file():
        raise UserError(f"{key}.checkpoint={checkpoint} does not exist; give the weights of {key}={config.name}")
    file = checkpoint
    if file is None and record is not None and Path(record["file"]).is_file():
        file = record["file"]
    if file is not None:
        config = replace(config, checkpoint=file, train=None)
    elif config.checkpoint is None and config.train is not None:
        where = f"no longer in {record['file']}" if record else "not written down in this checkpoint"
        raise UserError(
            f"{key}={config.name} was trained on the data set, and its weights are {where}: "
            f"give them with {key}.checkpoint=FILE (python -m clipgan.prepare with the run's settings makes them again)"
        )
    clip = load_clip(config, None, Path(), device)
    if record is not None and clip.key != record["key"]:
        raise UserError(f"{key}.checkpoint={config.checkpoint} holds other weights than those of the run")
    return clip
