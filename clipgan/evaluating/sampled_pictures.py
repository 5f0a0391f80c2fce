"""The pictures that `clipgan.sample` draws of some prompts and seeds, as a source of an evaluation.

Shapes: N pictures, R resolution.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from clipgan.metrics.generated import CHUNK
from clipgan.sampling.files import file_names, picture_name
from clipgan.sampling.sampler import Sampler


class SampledPictures:
    """A picture for each prompt and seed, in the order of the names of the files that `clipgan.sample` writes.

    The order matters to metrics that draw subsets of the pictures: they are equal to those of the files.
    """

    def __init__(self, sampler: Sampler, prompts: Sequence[str], seeds: Sequence[int]) -> None:
        names = file_names(prompts)
        pairs = [(picture_name(name, seed), prompt, seed)
                 for name, prompt in zip(names, prompts, strict=True) for seed in seeds]  # fmt: skip
        self.sampler, self.pairs = sampler, sorted(pairs)
        self.conditions = {prompt: sampler.condition(prompt) for prompt in prompts}

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def captions(self) -> list[str]:
        """The prompt of each picture."""
        return [prompt for _, prompt, _ in self.pairs]

    def read(self, chunks: range, draw: int = 0) -> Tensor:
        """Draw some chunks: uint8 [len(chunks) * CHUNK, 3, R, R]; there is one draw."""
        numbers = range(chunks.start * CHUNK, chunks.stop * CHUNK)
        images: dict[int, Tensor] = {}
        for number in numbers:  # the last chunk goes on with the first pictures, which are drawn once
            row = number % len(self)
            if row not in images:
                _, prompt, seed = self.pairs[row]
                images[row] = self.sampler.image(self.conditions[prompt], seed)
        return torch.stack([images[number % len(self)] for number in numbers]).to(self.sampler.device)
