"""Named random streams: what a step draws depends on the seed, the stream's name and the step, on nothing else.

So an evaluation or a sample grid in between changes no training, and a resumed run draws what it would have drawn.
"""

import zlib

import numpy as np
import torch


def stream_seed(seed: int, stream: str, index: int = 0) -> int:
    """A 63-bit seed from a run's seed, a stream's name and an index (a step, an epoch)."""
    words = np.random.SeedSequence([seed, zlib.crc32(stream.encode()), index]).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))


def stream(seed: int, name: str, index: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator for one use of a stream."""
    return torch.Generator(device).manual_seed(stream_seed(seed, name, index))
