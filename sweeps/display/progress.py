"""What a sweep shows while it runs: a live table on a terminal, else a line for each event."""

import heapq
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sweeps.points.metric_names import objective_names
from sweeps.points.trial_record import NOT_BEGUN, TrialRecord, newest_of_each_task
from sweeps.search.plan import Plan

MAX_ENDED = 8  # rows of the table for trials that have ended, the newest ones


class EventLines:
    """One line for each start, report and end of a trial.

    Args:
        say: shows one line.
        plan: what the sweep runs.
        known: trials of earlier commands, whose events until now get no lines.
    """

    def __init__(self, say: Callable[[str], None], plan: Plan, known: Iterable[TrialRecord] = ()) -> None:
        self._say = say
        self._plan = plan
        self._before = {record.number: record for record in known}

    def show(self, records: Iterable[TrialRecord]) -> None:
        """Show the trials that are new or have changed; called about once a second, also if there are none."""
        for record in records:
            before = self._before.get(record.number)
            if self._plan.wants(record) and record.state != "WAITING":
                [metric, *_] = objective_names(self._plan.goal.names, [record])
                for event in _events(before, record, self._plan.goal.step_name, metric):
                    self._say(f"trial {record.label}  {record.spelled}  {event}")
            self._before[record.number] = record

    def close(self) -> None:
        """The sweep has ended or stopped."""


class LiveTable:
    """A table of the running trials and those that ended last.

    Args:
        console: a terminal.
        plan: what the sweep runs.
        n_workers: how many trials run at a time, at the beginning.
    """

    def __init__(self, console: Console, plan: Plan, n_workers: int) -> None:
        self._plan = plan
        self._n_workers = n_workers
        self._records: dict[int, TrialRecord] = {}
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()

    def show(self, records: Iterable[TrialRecord]) -> None:
        """As `EventLines.show`."""
        self._records.update({record.number: record for record in records if self._plan.wants(record)})
        self._live.update(self.render(datetime.now()), refresh=True)

    def close(self) -> None:
        """Take the table off the terminal."""
        self._live.stop()

    def render(self, now: datetime) -> Group:
        """The table, and a line about the whole sweep, at a moment."""
        table = Table(box=box.SIMPLE_HEAD)
        [metric, *_] = objective_names(self._plan.goal.names, list(self._records.values()))
        for column in ("trial", "point", self._plan.goal.step_name, metric, "state", "ETA"):
            table.add_column(column, justify="left" if column in ("point", "state") else "right")
        pace = Durations(self._records.values())
        for record in self._rows():
            step = max(record.steps, default=None)
            value = record.value if record.value is not None else record.steps.get(step) if step is not None else None
            table.add_row(
                str(record.label),
                record.spelled,
                "-" if step is None else str(step),
                "-" if value is None else f"{value:.6g}",
                _state(record),
                clock(pace.left(record, now)) if record.state == "RUNNING" else "",
            )
        return Group(table, Text(self._summary(pace, now)))

    def _rows(self) -> list[TrialRecord]:
        ended = [record for record in self._records.values() if record.ended is not None]
        ended.sort(key=lambda record: record.ended or datetime.min)
        running = [record for record in self._records.values() if record.state == "RUNNING"]
        return [*ended[-MAX_ENDED:], *sorted(running, key=lambda record: record.number)]

    def _summary(self, pace: "Durations", now: datetime) -> str:
        newest = newest_of_each_task(record for _, record in sorted(self._records.items()))
        states = Counter(record.state for record in newest)
        n_ended = len(newest) - states["WAITING"] - states["RUNNING"]
        self._n_workers = max(self._n_workers, states["RUNNING"])  # a GPU may get further workers
        eta = clock(pace.sweep_left(newest, len(self._plan) - n_ended, self._n_workers, now))
        return f"{n_ended} of {len(self._plan)} ended, {states['FAIL']} failed, {states['RUNNING']} running; ETA {eta}"


@contextmanager
def queueing_bar(console: Console) -> Iterator[Callable[[int, int], None]]:
    """Show a bar while a long queue is written, on a terminal; the block tells it how many of how many are written."""
    if not console.is_terminal:
        yield lambda done, total: None
        return
    from rich.progress import Progress

    with Progress(console=console, transient=True) as bar:

        def tell(done: int, total: int) -> None:
            if not bar.tasks:
                bar.add_task("queueing the points", total=total)
            bar.update(bar.task_ids[0], completed=done)

        yield tell


View = EventLines | LiveTable  # shows trials as they change


class Durations:
    """How long trials take, from those that are complete."""

    def __init__(self, records: Iterable[TrialRecord]) -> None:
        complete = [record for record in records if record.state == "COMPLETE" and record.seconds is not None]
        seconds = [record.seconds for record in complete if record.seconds is not None]
        self._seconds = statistics.median(seconds) if seconds else None
        steps = [max(record.steps, default=0) for record in complete]
        self._steps = statistics.median(steps) if steps else 0

    def left(self, record: TrialRecord, now: datetime) -> float | None:
        """Seconds until a running trial ends; None while no trial is complete."""
        if self._seconds is None or record.started is None:
            return None
        if self._steps and record.steps:
            return max(0.0, self._seconds * (1 - max(record.steps) / self._steps))
        return max(0.0, self._seconds - (now - record.started).total_seconds())

    def sweep_left(self, newest: Iterable[TrialRecord], n_open: int, n_workers: int, now: datetime) -> float | None:
        """Seconds until all trials have ended."""
        if self._seconds is None:
            return None
        free = [self.left(record, now) or 0.0 for record in newest if record.state == "RUNNING"]
        n_waiting = max(0, n_open - len(free))
        free += [0.0] * (n_workers - len(free))  # seconds until each worker is free
        heapq.heapify(free)
        for _ in range(n_waiting):
            heapq.heapreplace(free, free[0] + self._seconds)
        return max(free)


def _events(before: TrialRecord | None, record: TrialRecord, step_name: str, metric: str) -> Iterable[str]:
    if before is None or before.state == "WAITING":
        yield "started"
    known = before.steps if before is not None else {}
    for step in sorted(record.steps.keys() - known.keys()):
        yield f"{step_name} {step}  {metric} {record.steps[step]:.6g}"
    waits = record.waits if record.state == "RUNNING" else ""
    if waits not in ("", NOT_BEGUN) and (before is None or before.waits != waits):
        yield waits
    if record.state != "RUNNING":
        yield _end(record, metric)


def _end(record: TrialRecord, metric: str) -> str:
    took = f"{record.seconds or 0:.0f} s"
    if record.requeued:  # FAIL is what the study stores, but the task goes on
        return f"ended early after {took}: {record.reason}; it waits again"
    values = record.values or ([] if record.value is None else [record.value])
    numbers = ", ".join(f"{value:.6g}" for value in values)
    result = f"{metric} {numbers}" if numbers else record.reason
    return f"{record.state} {f'{result} ' if result else ''}in {took}"


def _state(record: TrialRecord) -> str:
    """The state as the live table shows it, with the beginning of the reason."""
    if record.state == "RUNNING" and record.waits:
        return record.waits
    state = "waits again" if record.requeued else record.state
    return state if record.reason is None else f"{state} {record.reason:.40}"


def clock(seconds: float | None) -> str:
    """Seconds as hours, minutes and seconds."""
    return "-" if seconds is None else str(timedelta(seconds=round(seconds)))
