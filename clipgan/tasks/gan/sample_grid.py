"""Draw the sample grid: the same latents and prompts at every snapshot, one row per prompt, under its text."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from clipgan.base.pictures import draw_grid, to_uint8
from clipgan.base.randomness import normals, stream
from clipgan.inputs.data.pack import Split
from clipgan.models.networks.generator import TextToImage


class SampleGrid:
    """Fixed prompts and latents."""

    def __init__(
        self, prompts: Sequence[str], conditions: Tensor, columns: int, z_dim: int, seed: int, device: torch.device
    ) -> None:
        """
        Args:
            prompts: one per row.
            conditions: the prompts' text embeddings, [rows, C], unit length.
            columns: latents per prompt; column j has the same latent in every row.
        """
        z = torch.randn(columns, z_dim, generator=stream(seed, "sample grid"))
        self.prompts, self.columns, self.seed, self.device = prompts, columns, seed, device
        self.z = z.repeat(len(prompts), 1).to(device)
        self.conditions = conditions.repeat_interleave(columns, dim=0).to(device)

    @torch.no_grad()
    def save(self, generator: TextToImage, path: Path) -> None:
        """Draw the grid of `generator` (in evaluation mode) into a PNG."""
        draw = normals(stream(self.seed, "sample grid noise", 0, self.device))
        noise = generator.draw_noise(len(self.z), draw)
        grid = draw_grid(to_uint8(generator(self.z, self.conditions, noise)).cpu(), self.prompts)
        about = PngInfo()
        about.add_text("rows", json.dumps(grid.info["rows"]))  # a sweep's report cuts a row out
        grid.save(path, pnginfo=about)


def title(split: Split, index: int) -> str:
    """Return the text above a row: the first caption of an image, or its number in a set without captions."""
    captions = split.captions[index]
    return captions[0] if captions else f"like held-out image {index}"
