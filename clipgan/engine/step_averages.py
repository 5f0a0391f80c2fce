"""Average the steps' values between two records; a checkpoint in between stores the sums."""

import time
from collections.abc import Mapping
from typing import Any

from torch import Tensor


class StepAverages:
    """The steps since the last record: how many, how long, and the sums of their values."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.steps = 0
        self._start: float | None = time.perf_counter()
        self._before = 0.0  # seconds of earlier processes

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add one step's values: scalars on any device."""
        self.steps += 1
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def seconds(self) -> float:
        """Seconds of these steps, including the seconds of interrupted earlier processes."""
        return self._before + (0.0 if self._start is None else time.perf_counter() - self._start)

    def restart(self) -> None:
        """Restart the clock: the time since its start was not training."""
        self._start = time.perf_counter()

    def stop(self) -> float:
        """Stop the clock and return its seconds."""
        self._before, self._start = self.seconds(), None
        return self._before

    def means(self) -> dict[str, float]:
        """The mean of each value, by name."""
        return {name: float(total) / self.counts[name] for name, total in self.sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the averages as tensors and plain data."""
        return {"sums": self.sums, "counts": self.counts, "steps": self.steps, "seconds": self.seconds()}

    @classmethod
    def resumed(cls, state: Mapping[str, Any]) -> "StepAverages":
        """Make the averages that `state_dict` describes."""
        averages = cls()
        averages.sums, averages.counts, averages.steps = dict(state["sums"]), dict(state["counts"]), state["steps"]
        averages._before = state["seconds"]
        return averages
