"""The time limits of a command: how long it may run, and how long each of its trials may run."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from sweeps.base.duration import seconds_of
from sweeps.base.settings import Settings
from sweeps.points.trial_record import TrialRecord


@dataclass
class TimeLimits:
    """Counts by a clock that nobody sets, and so from the moment when this process has seen a trial run."""

    settings: Settings
    begun: float = field(default_factory=time.monotonic)  # start of the command, monotonic seconds
    _seen: dict[int, float] = field(default_factory=dict, init=False)  # running trial -> when it was first seen

    @property
    def given(self) -> bool:
        """Whether there is any limit."""
        return self.settings.timeout is not None or self.settings.trial_timeout is not None

    @property
    def reason(self) -> str:
        """Why a trial has failed that has run too long."""
        return f"timeout: it ran longer than hydra.sweeper.trial_timeout={self.settings.trial_timeout}"

    def is_over(self, now: float) -> bool:
        """Whether the command's time is over at a moment, in monotonic seconds."""
        seconds = seconds_of(self.settings.timeout)
        return seconds is not None and now - self.begun > seconds

    def count_from(self, moment: float) -> None:
        """Let the command's time begin at a moment in the past, in seconds since 1970."""
        self.begun = time.monotonic() - max(0.0, time.time() - moment)

    def overdue(self, running: Iterable[TrialRecord], now: float) -> list[TrialRecord]:
        """Return the trials that have run too long at a moment, among all that this command runs now."""
        seconds = seconds_of(self.settings.trial_timeout)
        if seconds is None:
            return []
        records = [record for record in running if not record.waits]
        self._seen = {record.number: self._seen.get(record.number, now) for record in records}
        return [record for record in records if now - self._seen[record.number] > seconds]
