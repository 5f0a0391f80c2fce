"""Average the steps' values between two records; a checkpoint in between stores the sums."""

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class StepAverages:
    """The steps since the last record: how many, how long, and the sums of their values."""

    def __init__(self) -> None:
        self._sums = torch.empty(0)  # one for each name in `counts`; added up in one operation
        self._places: dict[tuple[str, ...], Tensor] = {}  # where the values of these names are added
        self.counts: dict[str, int] = {}
        self.steps = 0
        self._start: float | None = time.perf_counter()
        self._before = 0.0  # seconds of earlier processes

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add one step's values: scalars on any device, the same in each step."""
        self.steps += 1
        names, added = tuple(values), torch.stack(list(values.values()))
        if names not in self._places:
            self._make_places(names, added)
        self._sums.index_add_(0, self._places[names], added)
        for name in names:
            self.counts[name] += 1

    def _make_places(self, names: tuple[str, ...], added: Tensor) -> None:
        self.counts |= {name: 0 for name in names if name not in self.counts}
        order = {name: place for place, name in enumerate(self.counts)}
        self._sums = torch.cat([self._sums.to(added), added.new_zeros(len(order) - len(self._sums))])
        self._places[names] = torch.tensor([order[name] for name in names], device=added.device)

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
        return {
            name: total / count for (name, count), total in zip(self.counts.items(), self._sums.tolist(), strict=True)
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the averages as tensors and plain data."""
        sums = {name: total.clone() for name, total in zip(self.counts, self._sums, strict=True)}
        return {"sums": sums, "counts": dict(self.counts), "steps": self.steps, "seconds": self.seconds()}

    @classmethod
    def resumed(cls, state: Mapping[str, Any]) -> "StepAverages":
        """Make the averages that `state_dict` describes."""
        averages = cls()
        averages.counts, averages.steps = {name: state["counts"][name] for name in state["sums"]}, state["steps"]
        if state["sums"]:
            averages._sums = torch.stack(list(state["sums"].values()))
        averages._before = state["seconds"]
        return averages
