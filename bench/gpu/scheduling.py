"""Run stages of parts within a budget of seconds: each part in a process of its own, each stage with a limit."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.gpu.findings import read
from bench.gpu.parts import Part, Stage

PATIENCE = 5.0  # seconds between SIGTERM and SIGKILL
Start = Callable[[Part], list[str]]  # the command of a part's process, which waits for a line before it begins


def limits(stages: Sequence[Stage], budget: float) -> list[float]:
    """Return the stages' own limits, scaled so that they fill a budget."""
    whole = sum(stage.seconds for stage in stages)
    return [stage.seconds * budget / whole for stage in stages]


class Running:
    """The process of a part."""

    def __init__(self, part: Part, command: Sequence[str], folder: Path) -> None:
        """Start the process. It imports, and waits; `begin` lets it go on."""
        self.part, self.log, self.found = part, folder / f"{part.name}.log", folder / f"{part.name}.jsonl"
        self.found.unlink(missing_ok=True)
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, str(self.found)], stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT,
                text=True, start_new_session=True,
            )  # fmt: skip
        self.began = self.ended = 0.0
        self.late = False

    def begin(self, limit: float) -> None:
        """Let the part begin.

        Args:
            limit: the part's seconds.
        """
        self.began = self.ended = time.monotonic()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has failed already; its log says why
            # the end, not the seconds: it may import for a while before it reads
            self.process.stdin.write(f"{self.began + limit}\n")
            self.process.stdin.close()

    def over(self) -> bool:
        """Whether the process has ended; keep the time."""
        if self.process.poll() is None:
            return False
        self.ended = time.monotonic()
        return True

    def ask(self) -> None:
        """Ask the process to end, if it still runs, and those that it started."""
        self.late = self.late or self.process.poll() is None
        self._signal(signal.SIGTERM)

    def end(self, deadline: float) -> None:
        """Wait for the processes that were asked to end; then kill them, which harms others that share a GPU by MPS."""
        while self._signal(0) and time.monotonic() < deadline:
            time.sleep(0.02)
        self._signal(signal.SIGKILL)
        self.process.wait()
        if self.late:
            self.ended = time.monotonic()

    def _signal(self, number: int) -> bool:
        """Send a signal to all processes; return whether one is left."""
        self.process.poll()  # a process that has ended counts until someone asks
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return False
        return True

    def record(self) -> dict[str, Any]:
        """Return the part's status (`done`, `failed` or `late`), seconds and findings; of a failure, its last line."""
        code = self.process.returncode
        status = "late" if self.late else "done" if code == 0 else "failed"
        found: dict[str, Any] = {
            "status": status,
            "seconds": round(self.ended - self.began, 1),
            "found": read(self.found),
        }
        if status != "done":
            lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
            found["last line"] = lines[-1][:300] if lines else ""
        return found


def end_together(parts: Sequence[Running]) -> None:
    """End parts that are over or late, with one patience for all."""
    for one in parts:
        one.ask()
    deadline = time.monotonic() + PATIENCE
    for one in parts:
        one.end(deadline)


def run_stages(
    stages: Sequence[Stage], budget: float, start: Start, folder: Path, keep: Callable[[str, dict[str, Any]], None]
) -> None:
    """Run all stages in their order. The seconds that a stage leaves over go to the next one.

    Args:
        stages: what to run.
        budget: seconds for all stages.
        start: the command of a part.
        folder: for logs and findings.
        keep: called with a part's name and record as soon as it has ended, also when this process is interrupted.
    """
    deadline, own = time.monotonic() + budget, limits(stages, budget)
    waiting: list[Running] = []

    def started(stage: Stage) -> list[Running]:
        return [Running(part, start(part), folder) for part in stage.parts]

    for number, stage in enumerate(stages):
        running, waiting = waiting or started(stage), []
        limit = deadline - time.monotonic() - sum(own[number + 1 :])
        try:
            for one in running:
                one.begin(limit)
            if number + 1 < len(stages) and len(stages[number + 1].parts) == 1:  # it imports meanwhile
                waiting = started(stages[number + 1])
            end = time.monotonic() + limit
            while running:
                time.sleep(0.05)
                over = [one for one in running if one.over() or time.monotonic() > end]
                end_together(over)
                for one in over:
                    running.remove(one)
                    keep(one.part.name, one.record())
        except BaseException:
            end_together([*running, *waiting])
            for one in (*running, *waiting):
                if one.began:
                    keep(one.part.name, one.record())
            raise


def here(*words: str) -> list[str]:
    """Return a command of this package."""
    return [sys.executable, "-u", "-m", "bench.gpu", *words]
