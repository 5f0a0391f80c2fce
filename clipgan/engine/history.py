"""What a run has come to so far: its snapshots' figures, its seconds, and the steps since its last record."""

from collections.abc import Mapping
from typing import Any

from clipgan.engine.step_averages import StepAverages


class History:
    """The figures of one run; a checkpoint holds all of it."""

    def __init__(self, maximised: bool) -> None:
        """`maximised`: whether a higher figure is better."""
        self.maximised = maximised
        self.snapshots: list[tuple[int, float]] = []  # mark and objective of each snapshot
        self.objective_sd: float | None = None  # of the last one, where it was due
        self.seconds = 0.0  # of training, up to the last record
        self.mark = 0  # of the last record
        self.values: dict[str, float] = {}  # the newest figure of each name; of this process alone
        self.since_record = StepAverages()  # the steps since then

    @property
    def best(self) -> float:
        """The best objective."""
        figures = [figure for _, figure in self.snapshots]
        return max(figures) if self.maximised else min(figures)

    def spent(self) -> float:
        """Seconds of training so far, without snapshots."""
        return self.seconds + (self.since_record.seconds() if self.since_record.steps else 0.0)

    def record(self, mark: int, values: Mapping[str, float]) -> None:
        """Close the steps since the last record; a snapshot's figures stay until the next has others."""
        self.seconds = self.spent()
        self.since_record, self.mark = StepAverages(), mark
        self.values |= values

    def is_nearest(self, mark: int, limit: float) -> bool:
        """Whether the end of no later unit can be nearer to so many seconds of training, if units go on as before."""
        return mark > 0 and self.spent() * (1 + 0.5 / mark) >= limit

    def state_dict(self) -> dict[str, Any]:
        """Plain data and tensors."""
        return {
            "history": self.snapshots,
            "objective_sd": self.objective_sd,
            "train_seconds": self.seconds,
            "mark": self.mark,
            "tick": self.since_record.state_dict() if self.since_record.steps else None,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave.

        Raises:
            KeyError: something is missing.
        """
        self.snapshots = [(mark, figure) for mark, figure in state["history"]]
        # earlier versions called these after the GAN's own figures, and wrote snapshots alone
        self.objective_sd = state.get("objective_sd", state.get("fid_sd"))
        self.mark = state.get("mark" if "mark" in state else "kimg", self.snapshots[-1][0])
        self.seconds = state["train_seconds"]
        if state.get("tick") is not None:
            self.since_record = StepAverages.resumed(state["tick"])
