"""Named random streams: a step's draws depend only on the seed, the stream's name and the step.

So evaluations and sample grids do not change a training, and a resumed run draws the same numbers.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

Draw = Callable[[Sequence[int]], Tensor]  # shape -> standard normals


def stream_seed(seed: int, stream: str, index: int = 0) -> int:
    """Derive a 63-bit seed from a run's seed, a stream's name and an index (a step, an epoch)."""
    words = np.random.SeedSequence([seed, zlib.crc32(stream.encode()), index]).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))


def stream(seed: int, name: str, index: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    """Make a torch generator for one use of a stream."""
    return torch.Generator(device).manual_seed(stream_seed(seed, name, index))


def normals(generator: torch.Generator) -> Draw:
    """Make a function that draws standard normals from a generator, on its device."""
    return partial(torch.randn, generator=generator, device=generator.device)


@dataclass(frozen=True)
class StepRandom:
    """The random numbers of one training step.

    Each block of rows has its own streams. So a batch gets the same numbers as a whole, in micro-batches, or over
    several processes, if each part consists of whole blocks.
    """

    seed: int
    step: int
    block: int  # rows
    device: torch.device

    def shared(self, name: str) -> torch.Generator:
        """Make a generator on the CPU for numbers that the whole batch shares."""
        return stream(self.seed, name, self.step)

    def halves(self) -> "StepRandom":
        """Make the streams for a batch of the first half of each block; row numbers count in the half batch."""
        return replace(self, block=max(1, self.block // 2))

    def rows(self, name: str, rows: range) -> Draw:
        """Make a function that draws numbers of shape [len(rows), ...]; `rows` are row numbers in the whole batch."""
        assert rows.start % self.block == 0
        sizes = [min(self.block, rows.stop - first) for first in rows[:: self.block]]
        streams = [stream(self.seed, f"{name} {first}", self.step, self.device) for first in rows[:: self.block]]

        def draw(shape: Sequence[int]) -> Tensor:
            parts = [
                torch.randn(size, *shape[1:], generator=generator, device=self.device)
                for size, generator in zip(sizes, streams, strict=True)
            ]
            return torch.cat(parts)

        return draw
