"""The sample grid: the same latents and prompts at every snapshot, a row for each prompt, its text above it."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from clipgan.data.pack import Split
from clipgan.metrics.fid import to_uint8
from clipgan.networks.generator import Generator
from clipgan.randomness import normals, stream

CAPTION_HEIGHT = 18  # pixels
MIN_CELL = 64  # pixels; smaller images are enlarged by a whole factor


class SampleGrid:
    """Fixed prompts and latents."""

    def __init__(
        self, prompts: Sequence[str], conditions: Tensor, columns: int, z_dim: int, seed: int, device: torch.device
    ) -> None:
        """
        Args:
            prompts: one a row.
            conditions: [rows, C], their text embeddings, unit length.
            columns: latents a prompt; column j has the same latent in every row.
        """
        z = torch.randn(columns, z_dim, generator=stream(seed, "sample grid"))
        self.prompts, self.columns, self.seed, self.device = prompts, columns, seed, device
        self.z = z.repeat(len(prompts), 1).to(device)
        self.conditions = conditions.repeat_interleave(columns, dim=0).to(device)

    @torch.no_grad()
    def save(self, generator: Generator, path: Path) -> None:
        """Draw the grid of `generator` (in evaluation mode) into a PNG."""
        draw = normals(stream(self.seed, "sample grid noise", 0, self.device))
        draw_grid(to_uint8(generator(self.z, self.conditions, draw)).cpu(), self.prompts).save(path)


def title(split: Split, index: int) -> str:
    """What stands above a row: the first caption of an image, or its number in a set without captions."""
    captions = split.captions[index]
    return captions[0] if captions else f"like held-out image {index}"


def draw_grid(images: Tensor, captions: Sequence[str]) -> Image.Image:
    """Rows of images under their captions.

    Args:
        images: uint8 [rows * columns, 3, R, R], row by row.
        captions: one a row.
    """
    columns, resolution = len(images) // len(captions), images.shape[-1]
    cell = resolution * max(1, -(-MIN_CELL // resolution))
    height = cell + CAPTION_HEIGHT
    grid = Image.new("RGB", (columns * cell, len(captions) * height), "white")
    draw, font = ImageDraw.Draw(grid), ImageFont.load_default(12)
    for row, caption in enumerate(captions):
        draw.text((4, row * height + 2), caption, fill="black", font=font)
        for column in range(columns):
            pixels = images[row * columns + column].permute(1, 2, 0).numpy()
            picture = Image.fromarray(pixels).resize((cell, cell), Image.Resampling.NEAREST)
            grid.paste(picture, (column * cell, row * height + CAPTION_HEIGHT))
    return grid
