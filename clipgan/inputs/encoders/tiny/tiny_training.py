"""Learning rate schedule and seeding of the small encoders' trainings."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from clipgan.base.distributed import threads_of

WARMUP = 0.05  # fraction of the steps


def warmup_cosine(steps: int) -> Callable[[int], float]:
    """Map a step (0, 1, ...) to a factor of the peak learning rate: linear over 5 % of the steps, then a cosine."""
    warmup = max(1, round(WARMUP * steps))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    return factor


@contextmanager
def seeded_on_one_thread(seed: int) -> Iterator[None]:
    """Run the block with torch's random state set to `seed` and on one CPU thread; restore both afterwards.

    A second thread slows these small networks down, and the weights depend on the number of threads.
    """
    with threads_of(1), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
