"""Means of a step's values between two records; a checkpoint in between keeps them."""

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
        """One step's values: scalars on any device."""
        self.steps += 1
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def seconds(self) -> float:
        """Of all processes that had a part in it."""
        return self._before + (0.0 if self._start is None else time.perf_counter() - self._start)

    def restart(self) -> None:
        """Leave out the seconds since this process began or restarted it, in which nothing was trained."""
        self._start = time.perf_counter()

    def stop(self) -> float:
        """The clock's last reading."""
        self._before, self._start = self.seconds(), None
        return self._before

    def means(self) -> dict[str, float]:
        """One number a name."""
        return {name: float(total) / self.counts[name] for name, total in self.sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain data only."""
        return {"sums": self.sums, "counts": self.counts, "steps": self.steps, "seconds": self.seconds()}

    @classmethod
    def resumed(cls, state: Mapping[str, Any]) -> "StepAverages":
        """From what `state_dict` gave."""
        averages = cls()
        averages.sums, averages.counts, averages.steps = dict(state["sums"]), dict(state["counts"]), state["steps"]
        averages._before = state["seconds"]
        return averages
