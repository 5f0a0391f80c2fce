"""The learning-rate schedule of the small encoders."""

import math
from collections.abc import Callable

WARMUP = 0.05  # of the steps


def warmup_cosine(steps: int) -> Callable[[int], float]:
    """Step (0, 1, ...) to a factor of the peak rate: a linear rise over 5 % of the steps, then half a cosine."""
    warmup = max(1, round(WARMUP * steps))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    return factor
