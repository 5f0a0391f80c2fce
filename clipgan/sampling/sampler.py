"""Generating a picture from a prompt and a seed: always the same picture, however many are generated at a time.

Shapes: C width of CLIP's embedding, W style width, R resolution.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from clipgan.base import lookup
from clipgan.base.console import console
from clipgan.base.errors import UserError
from clipgan.base.pictures import to_picture, to_uint8
from clipgan.base.randomness import stream
from clipgan.base.torch_defaults import torch_defaults
from clipgan.config import ClipConfig
from clipgan.inputs.data.images import image_file, read_record
from clipgan.inputs.data.limits import DecodingMemory
from clipgan.inputs.encoders.clip import FrozenClip, load_clip
from clipgan.models.networks.build import build_generator
from clipgan.models.networks.generator import TextToImage
from clipgan.sampling.source import Source


class Sampler:
    """A generator and the CLIP that encodes its prompts.

    Pictures are generated one at a time: a batch would change the last bits, and now and then a pixel.
    """

    def __init__(self, generator: TextToImage, clip: FrozenClip, device: torch.device, source: Source) -> None:
        """Take a `generator` in evaluation mode and a `clip`, both on `device`, and the run that they come from."""
        self.generator, self.clip, self.device, self.source = generator, clip, device, source

    @torch_defaults()
    def draw(self, prompt: str, seed: int, truncation: float = 1.0) -> Image.Image:
        """Generate the picture of a prompt and a seed."""
        return to_picture(self.image(self.condition(prompt), seed, truncation))

    def condition(self, prompt: str) -> Tensor:
        """Return G's condition for a prompt: its CLIP embedding of unit length, [1, C]; say if CLIP truncates it."""
        before = self.clip.truncated
        condition = self.clip.encode_text([prompt])
        if self.clip.truncated > before:
            console.print(f"{prompt[:40]}...: longer than the {self.clip.context} tokens that CLIP reads")
        return condition

    @torch.no_grad()
    def condition_of_image(self, path: Path) -> Tensor:
        """Return G's condition for a picture: its CLIP embedding of unit length, [1, C], at the training's resolution.

        Raises:
            UserError: the file is no image that Pillow reads.
        """
        found = read_record(image_file(path, path.name, []), self.source.config.resolution, DecodingMemory(1))
        if isinstance(found, str):
            raise UserError(f"image={path} cannot be used: {found}")
        image = torch.from_numpy(found.image.copy()).permute(2, 0, 1)[None].to(self.device)
        return self.clip.encode_image(image.float() / 127.5 - 1)

    @torch.no_grad()
    def style(self, seed: int) -> Tensor:
        """Return the style w of a seed's latent, [1, W], not truncated."""
        z = torch.randn(1, self.generator.z_dim, generator=stream(seed, "sample latent"))
        return self.generator.mapping(z.to(self.device))

    def image(self, condition: Tensor, seed: int, truncation: float = 1.0) -> Tensor:
        """Generate the picture of a condition [1, C] and a seed: uint8 [3, R, R], on the CPU."""
        return self.synthesise(self.style(seed), condition, seed, truncation)

    @torch.no_grad()
    def synthesise(self, w: Tensor, condition: Tensor, seed: int, truncation: float) -> Tensor:
        """Generate the picture of w [1, W], a condition [1, C] and a seed's noise: uint8 [3, R, R], on the CPU."""
        random = stream(seed, "sample noise")  # on the CPU, so that every device uses the same noise

        def draw(shape: Sequence[int]) -> Tensor:
            return torch.randn(*shape, generator=random).to(self.device)

        ws = self.generator.broadcast(self.generator.mapping.truncate(w, truncation))
        return to_uint8(self.generator.synthesise(ws, condition, self.generator.draw_noise(1, draw)))[0].cpu()


def open_sampler(source: Source, device: torch.device, clip_checkpoint: str | None = None) -> Sampler:
    """Load a generator (its moving average) and its CLIP.

    Args:
        source: the trained run.
        device: the device of both networks.
        clip_checkpoint: the CLIP's weights file; None: the file that the run used.

    Raises:
        UserError: the CLIP's weights are missing, differ from the run's, or do not fit the generator; or its weights
            are not finite.
    """
    clip = recorded_clip(source.config.clip, source.clip, clip_checkpoint, device)
    return Sampler(trained_generator(source, clip, device), clip, device, source)


def trained_generator(source: Source, clip: FrozenClip, device: torch.device) -> TextToImage:
    """Build the generator of a run, in evaluation mode.

    Raises:
        UserError: the generator was not trained with embeddings of this CLIP's width.
    """
    config = source.config
    generator = build_generator(config.model, clip.dim, config.resolution)
    try:
        generator.load_state_dict(source.generator)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"clip={config.clip.name} and {source.name} do not fit: {reason}") from error
    if not all(bool(tensor.isfinite().all()) for tensor in generator.state_dict().values()):
        raise UserError(f"{source.name} has weights that are NaN or infinite and draws nothing")
    generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return generator.eval().requires_grad_(False)


def recorded_clip(
    config: ClipConfig,
    record: Mapping[str, str] | None,
    checkpoint: str | None,
    device: torch.device,
    key: str = "clip",
) -> FrozenClip:
    """Load a run's CLIP, without training: from `checkpoint`, else from the recorded file, else as `config` says.

    Args:
        config: the run's configuration of this CLIP.
        record: the run's record of this CLIP (`FrozenClip.record`); None: there is none, and nothing is compared.
        checkpoint: the weights file; None: not given.
        key: the key of this CLIP on the command line, for the messages.

    Raises:
        UserError: the weights are missing, or differ from the run's.
    """
    if checkpoint is not None and not lookup.is_file(checkpoint):
        raise UserError(
            f"{key}.checkpoint={checkpoint} {lookup.why_no_file(checkpoint)}; give the weights of {key}={config.name}"
        )
    file = checkpoint
    if file is None and record is not None and lookup.is_file(record["file"]):
        file = record["file"]
    if file is not None:
        config = replace(config, checkpoint=file, train=None)
    elif config.checkpoint is None and config.train is not None:
        where = f"no longer in {record['file']}" if record else "not recorded in this checkpoint"
        raise UserError(
            f"{key}={config.name} was trained on the data set, and its weights are {where}: "
            f"give them with {key}.checkpoint=FILE (python -m clipgan.prepare with the run's settings makes them again)"
        )
    clip = load_clip(config, None, Path(), device)
    if record is not None and clip.key != record["key"]:
        raise UserError(f"{key}.checkpoint={config.checkpoint} holds other weights than the run used")
    return clip
