"""Rows of an evaluation on the disk, so that a killed one goes on: a file for each group of images that is measured."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from clipgan.base.durable_files import remove_unfinished
from clipgan.inputs.encoders.weights import write_weights

NAMES = "rows-*.safetensors"


class KeptRows:
    """The rows of the images of one draw, in a folder of their own evaluation."""

    def __init__(self, folder: Path, draw: int = 0) -> None:
        """Take an existing folder, and `draw` as in `generated.generate`."""
        self.folder, self.draw = folder, draw
        remove_unfinished(folder, [NAMES])

    def load(self, numbers: range, device: torch.device) -> Mapping[str, Tensor] | None:
        """Load the rows of the images of these numbers; None if they are not kept."""
        path = self._path(numbers)
        return load_file(path, device=str(device)) if path.is_file() else None

    def save(self, numbers: range, rows: Mapping[str, Tensor]) -> None:
        """Keep the rows of the images of these numbers; the file is complete or absent, also after a power cut."""
        write_weights(self._path(numbers), {name: row.clone() for name, row in rows.items()})  # rows may be shared

    def has(self, numbers: range) -> bool:
        """Whether rows of the images of these numbers are kept."""
        return self._path(numbers).is_file()

    def remove(self) -> None:
        """Delete all kept rows."""
        for path in self.folder.glob(NAMES):
            path.unlink()

    def _path(self, numbers: range) -> Path:
        return self.folder / f"rows-{self.draw}-{numbers.start:07d}-{numbers.stop:07d}.safetensors"
