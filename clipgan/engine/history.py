"""The history of a run: the objectives of its snapshots, its seconds, and the steps since its last record."""

import math
from collections.abc import Mapping
from typing import Any

from clipgan.engine.step_averages import StepAverages


class History:
    """Holds the history of one run; a checkpoint stores all of it."""

    def __init__(self, maximised: bool) -> None:
        """`maximised`: whether a higher objective is better."""
        self.maximised = maximised
        self.snapshots: list[tuple[int, float]] = []  # units done and objective of each snapshot
        self.objective_sd: float | None = None  # of the last snapshot, if it was measured
        self.figures: dict[str, float] = {}  # the last snapshot's other metrics, which a sweep may take
        self.recorded_seconds = 0.0  # seconds of training up to the last record
        self.recorded_units = 0  # units done at the last record
        self.values: dict[str, float] = {}  # the newest value of each metric, in this process
        self.since_record = StepAverages()  # the steps since the last record
        self.records: list[str] | None = None  # lines of metrics.jsonl; None: an earlier version saved none

    @property
    def best(self) -> float:
        """The best objective."""
        objectives = [objective for _, objective in self.snapshots]
        return max(objectives) if self.maximised else min(objectives)

    def seconds(self) -> float:
        """Seconds of training so far, without snapshots."""
        return self.recorded_seconds + (self.since_record.seconds() if self.since_record.steps else 0.0)

    def record(self, units: int, values: Mapping[str, float], lines: list[str]) -> None:
        """Add a record, and start averaging the next steps.

        Args:
            units: units done.
            values: metrics; a snapshot's values stay until the next snapshot replaces them.
            lines: all lines of metrics.jsonl, this record's line included.
        """
        self.records = lines
        self.recorded_seconds = self.seconds()
        self.since_record, self.recorded_units = StepAverages(), units
        self.values |= values

    def is_nearest(self, units: int, limit: float) -> bool:
        """Whether stopping now ends closer to a time limit than stopping one unit later, at the speed so far.

        Args:
            units: units done.
            limit: seconds of training.
        """
        return units > 0 and self.seconds() * (1 + 0.5 / units) >= limit

    def why_beyond(self, limit: float | None, earlier: float | None) -> str | None:
        """Say why the run has been trained further than a time limit asks for; None if it has not.

        Args:
            limit: seconds of training that this command asks for; None: no limit.
            earlier: the limit of the command that trained the run.
        """
        seconds, units = self.recorded_seconds, self.recorded_units
        if limit is None or (earlier is not None and earlier <= limit):
            return None
        if units <= 1 or seconds * (1 - 0.5 / units) < limit:  # one unit less would be no nearer to the limit
            return None
        return (
            f"seconds={limit:g} ends earlier, and it has {seconds:.1f} s of training; give seconds={math.ceil(seconds)}"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the history as plain data and tensors."""
        return {
            "history": self.snapshots,
            "objective_sd": self.objective_sd,
            "figures": self.figures,
            "train_seconds": self.recorded_seconds,
            "mark": self.recorded_units,
            "tick": self.since_record.state_dict() if self.since_record.steps else None,
            "records": self.records,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Load the result of `state_dict`.

        Raises:
            KeyError: an entry is missing.
            ValueError: an entry has a value of another type.
        """
        self.snapshots = [(units, objective) for units, objective in state["history"]]
        self.objective_sd = state["objective_sd"]
        self.figures = state.get("figures", {})
        self.recorded_units = state["mark"]
        self.recorded_seconds = state["train_seconds"]
        self.records = state.get("records")
        self._refuse_odd_values()
        if state.get("tick") is not None:
            self.since_record = StepAverages.resumed(state["tick"])

    def _refuse_odd_values(self) -> None:
        """Raise a ValueError for what would stop the run later, or write something else than records."""
        records, numbers = self.records or [], [*self.figures.values(), self.objective_sd or 0.0]
        if not (isinstance(records, list) and all(isinstance(line, str) and "\n" not in line for line in records)):
            raise ValueError("its records are no lines")
        if not all(isinstance(number, int | float) for number in numbers):
            raise ValueError("its figures are no numbers")
        if not (isinstance(self.recorded_units, int) and self.recorded_units >= 0):
            raise ValueError(f"its record is at {self.recorded_units}")
        if not 0 <= self.recorded_seconds < math.inf:
            raise ValueError(f"it took {self.recorded_seconds} s")
