"""What a sweep shows while it runs: one line for each start and each end of a trial."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweeps.outcome import Outcome
    from sweeps.plan import Plan
    from sweeps.study import Claim


class Lines:
    """Plain lines.

    Args:
        say: shows one line.
        plan: what the sweep runs.
    """

    def __init__(self, say: Callable[[str], None], plan: "Plan") -> None:
        self._say = say
        self._plan = plan
        self._start = 0.0

    def started(self, claim: "Claim") -> None:
        """A trial begins in this process."""
        self._start = time.monotonic()
        self._say(f"{self._label(claim)}  started")

    def finished(self, claim: "Claim", outcome: "Outcome") -> None:
        """It has ended."""
        end = f"FAIL {outcome.reason}" if outcome.value is None else f"COMPLETE {outcome.value:.6g}"
        self._say(f"{self._label(claim)}  {end} in {time.monotonic() - self._start:.0f} s")

    def stopped(self, claim: "Claim", by: BaseException) -> None:
        """It was interrupted."""
        label = self._label(claim)
        self._say(f"{label}  stopped by {type(by).__name__}: it waits again, and the same command goes on")

    def _label(self, claim: "Claim") -> str:
        return f"trial {self._plan.label(claim.task, claim.run)}"
