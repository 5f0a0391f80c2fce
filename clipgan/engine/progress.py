"""Show a run's progress on the terminal, and its summary at the end."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from clipgan.base.console import console, duration
from clipgan.engine.interruption import ENDING
from clipgan.engine.schedule import Schedule

BARS = "▁▂▃▄▅▆▇█"
SHOWN = 24  # snapshots in the picture of the trend
EVERY = 10.0  # seconds between two plain lines


@dataclass(frozen=True)
class RunStatus:
    """How far a run is."""

    name: str
    run_dir: Path
    schedule: Schedule
    key: str  # name of its objective
    maximised: bool  # whether a higher objective is better
    step: int  # steps done
    trained: float  # seconds of training, without snapshots
    limit: float | None  # seconds of training after which the run ends; None: the schedule ends it
    history: Sequence[tuple[int, float]]  # units done and objective of each snapshot
    values: Mapping[str, float]  # of the last record
    signal: str | None = None  # the signal that has come and will end the run

    @property
    def best(self) -> tuple[int, float]:
        """Units done and objective of the best snapshot; of equal snapshots, the first."""
        return (max if self.maximised else min)(self.history, key=lambda each: each[1])

    def units(self) -> float:
        """Units done, with a fraction."""
        return self.step * float(self.schedule.units_per_step)

    def done(self) -> float:
        """The finished share of the run."""
        share = self.step / self.schedule.total_steps
        return min(1.0, share if self.limit is None else max(share, self.trained / self.limit))

    def left(self) -> float | None:
        """Seconds to the end, including snapshots; None: not known yet."""
        if not self.step or not self.trained:
            return None
        training = (self.schedule.total_steps - self.step) * self.trained / self.step
        if self.limit is not None:
            training = max(0.0, min(training, self.limit - self.trained))
        schedule, further_steps = self.schedule, round(training / self.trained * self.step)
        now = self.step * schedule.units_per_step
        end = min(Fraction(schedule.length), now + further_steps * schedule.units_per_step)
        snapshots = math.ceil(end / schedule.snapshot_every) - math.floor(now / schedule.snapshot_every)
        return training + snapshots * self.values.get("snapshot_seconds", 0.0)


def follow(steps: Iterable[int], status: Callable[[], RunStatus]) -> Iterator[int]:
    """Yield `steps` and show the run's progress: a live view on a terminal, else a plain line every few seconds."""
    if console.is_terminal:
        with Live(get_renderable=lambda: panel(status()), console=console, transient=True):
            yield from steps
        return
    shown = time.monotonic()
    for step in steps:
        if time.monotonic() - shown >= EVERY:
            console.print(line(status()))
            shown = time.monotonic()
        yield step


def line(now: RunStatus) -> str:
    """The run in one line."""
    parts = [f"{_done(now)} of {_length(now)}", f"{duration(now.trained)} of training", _speed(now), _eta(now)]
    return f"training {now.name}: {', '.join(part for part in parts if part)}"


def panel(now: RunStatus) -> RenderableType:
    """Draw the run in a few lines."""
    progress = Table.grid(padding=(0, 2), expand=True)
    progress.add_column()
    progress.add_column(ratio=1)
    progress.add_row(
        f"{_done(now)} of {_length(now)}",
        ProgressBar(total=1.0, completed=now.done()),
        f"{now.done():.0%}",
        _speed(now),
        _eta(now),
    )
    lines = Table.grid(padding=(0, 2))
    for title, text in _lines(now):
        lines.add_row(Text(title, style="dim"), text)
    return Panel(
        Group(progress, lines), title=Text(now.name, style="bold"), title_align="left", subtitle_align="left",
        subtitle=Text(f"{now.signal}: {ENDING}" if now.signal else "Ctrl-C saves a checkpoint and ends", style="dim"),
    )  # fmt: skip


def summary(now: RunStatus, stopped: bool, further: Sequence[tuple[str, str]]) -> list[str]:
    """Return the last lines of a run: its objective, its files, and the next commands.

    Args:
        now: the run.
        stopped: whether a sweep has ended the run early.
        further: commands, each with its purpose.
    """
    schedule, (first, start), (units, last) = now.schedule, now.history[0], now.history[-1]
    best_at, best = now.best
    speed = f" ({_speed(now)})" if now.step else ""
    most = ""
    if now.limit is not None and units < schedule.length and not stopped:
        most = f" of at most {schedule.length}, as seconds={now.limit:g} allow,"
    lines = [
        f"{'pruned' if stopped else 'done'}: {now.name}, {schedule.counted(units)}{most} in {duration(now.trained)} of"
        f" training{speed}",
        f"{now.key}: {start:.4g} at {schedule.counted(first)}, {last:.4g} at {units}; best {best:.4g} at {best_at}",
        f"files: {now.run_dir}",
    ]
    for command, what in further:
        lines += [f"to {what}:", f"    {command}"]
    return lines


def trend(objectives: Sequence[float], maximised: bool) -> str:
    """Draw `█▄▂▁ better`: the newest objectives as bars, scaled from lowest to highest, and the last change."""
    shown = objectives[-SHOWN:]
    low, span = min(shown), max(shown) - min(shown)
    bars = "".join(BARS[round((value - low) / span * (len(BARS) - 1)) if span else 0] for value in shown)
    if len(shown) < 2 or shown[-1] == shown[-2]:
        return bars
    return f"{bars} {'better' if (shown[-1] > shown[-2]) == maximised else 'worse'}"


def _lines(now: RunStatus) -> Iterator[tuple[str, str | Text]]:
    if now.history:
        best_at, best = now.best
        units, objective = now.history[-1]
        text = Text(f"{objective:.4g}", style="bold")
        text.append(f" at {units} {now.schedule.unit}, best {best:.4g} at {best_at}   ", style="not bold")
        text.append(trend([each for _, each in now.history], now.maximised), style="not bold cyan")
        yield now.key, text
    losses = {name: value for name, value in now.values.items() if name.startswith("loss/")}
    if losses:
        yield "loss", "  ".join(f"{name.removeprefix('loss/')} {value:.4g}" for name, value in losses.items())
    if "memory_gb" in now.values:
        yield "memory", f"{now.values['memory_gb']:.2f} GB at most"
    yield "files", Text(str(now.run_dir), overflow="ellipsis", no_wrap=True)


def _done(now: RunStatus) -> str:
    return f"{now.units():.1f}"


def _speed(now: RunStatus) -> str:
    return f"{now.trained / now.units():.2f} s/{now.schedule.unit}" if now.step else ""


def _eta(now: RunStatus) -> str:
    left = now.left()
    return "" if left is None else f"ETA {duration(left)}"


def _length(now: RunStatus) -> str:
    """Return the run's length in units; with a time limit, its likely length."""
    length, about = now.schedule.length, ""
    if now.limit is not None and now.trained:
        length = min(length, max(1, round(now.limit / now.trained * now.units())))
        about = "about "
    return f"{about}{now.schedule.counted(length)}"
