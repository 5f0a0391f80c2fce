"""Named random streams: a step's draws depend only on the seed, the stream's name and the step.

So evaluations and sample grids do not change a training, and a resumed run draws the same numbers.
"""

import zlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

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

    def integer(self, name: str, choose: Callable[[torch.Generator], int]) -> Tensor:
        """Choose an integer that the whole batch shares, by a generator on the CPU: int64, a scalar on the device."""
        return torch.full((), choose(stream(self.seed, name, self.step)), device=self.device)

    def halves(self) -> Self:
        """Make the streams for a batch of the first half of each block; row numbers count in the half batch."""
        return replace(self, block=max(1, self.block // 2))

    def rows(self, name: str, rows: range) -> Draw:
        """Make a function that draws numbers of shape [len(rows), ...]; `rows` are row numbers in the whole batch."""
        assert rows.start % self.block == 0

        def draw(shape: Sequence[int]) -> Tensor:
            numbers = torch.empty(*shape, device=self.device)
            self.fill(numbers, name, rows)
            return numbers

        return draw

    def fill(self, numbers: Tensor, name: str, rows: range) -> None:
        """Fill [len(rows), ...] with the numbers that `rows` draws."""
        for block, first in zip(numbers.split(self.block), rows[:: self.block], strict=True):
            block.normal_(generator=stream(self.seed, f"{name} {first}", self.step, self.device))


class DrawnTensors:
    """The tensors of a step's random numbers, which keep their place in memory from step to step."""

    def __init__(self) -> None:
        self._refills: dict[Hashable, tuple[Tensor, Callable[[Tensor, StepRandom], Any]]] = {}

    def tensor(self, key: Hashable, draw: Callable[[], Tensor], refill: Callable[[Tensor, StepRandom], Any]) -> Tensor:
        """Return the tensor of a draw; `draw` makes it at its first use, `refill` fills it for a later step."""
        if key not in self._refills:
            self._refills[key] = draw(), refill
        return self._refills[key][0]

    def refill(self, random: StepRandom) -> None:
        """Fill all tensors with the numbers of another step."""
        for tensor, refill in self._refills.values():
            refill(tensor, random)


@dataclass(frozen=True)
class StaticRandom(StepRandom):
    """The same numbers in tensors that keep their place in memory, for a recorded step."""

    drawn: DrawnTensors

    @classmethod
    def of(cls, random: StepRandom, drawn: DrawnTensors) -> Self:
        """Put the numbers of `random` into `drawn`."""
        return cls(random.seed, random.step, random.block, random.device, drawn)

    def integer(self, name: str, choose: Callable[[torch.Generator], int]) -> Tensor:
        """See `StepRandom`."""

        def refill(tensor: Tensor, random: StepRandom) -> None:
            tensor.fill_(choose(stream(random.seed, name, random.step)))

        return self.drawn.tensor(name, lambda: super(StaticRandom, self).integer(name, choose), refill)

    def rows(self, name: str, rows: range) -> Draw:
        """See `StepRandom`."""
        draw, block = super().rows(name, rows), self.block

        def refill(tensor: Tensor, random: StepRandom) -> None:
            replace(random, block=block).fill(tensor, name, rows)

        return lambda shape: self.drawn.tensor((name, block, rows, *shape), lambda: draw(shape), refill)
