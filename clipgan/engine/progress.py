"""What a terminal shows of a run while it trains, and what is said at its end."""

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
    """How a run stands."""

    name: str
    run_dir: Path
    schedule: Schedule
    key: str  # name of its figure
    maximised: bool  # whether a higher one is better
    step: int  # steps done
    trained: float  # seconds, without snapshots
    limit: float | None  # seconds of training after which it ends; None: the schedule says
    history: Sequence[tuple[int, float]]  # mark and figure of each snapshot
    values: Mapping[str, float]  # of the last record
    signal: str | None = None  # which has come and will end it

    @property
    def best(self) -> tuple[int, float]:
        """Mark and figure of the best snapshot, the first of equals."""
        return (max if self.maximised else min)(self.history, key=lambda each: each[1])

    def done(self) -> float:
        """What share of the run is behind it."""
        share = self.step / self.schedule.total
        return min(1.0, share if self.limit is None else max(share, self.trained / self.limit))

    def left(self) -> float | None:
        """Seconds to its end, snapshots included; None: nobody knows yet."""
        if not self.step or not self.trained:
            return None
        training = (self.schedule.total - self.step) * self.trained / self.step
        if self.limit is not None:
            training = max(0.0, min(training, self.limit - self.trained))
        now = self.step * self.schedule.each
        end = min(Fraction(self.schedule.length), now + round(training / self.trained * self.step) * self.schedule.each)
        snapshots = math.ceil(end / self.schedule.every) - math.floor(now / self.schedule.every)
        return training + snapshots * self.values.get("snapshot_seconds", 0.0)


def follow(steps: Iterable[int], status: Callable[[], RunStatus]) -> Iterator[int]:
    """Yield `steps` and show how the run stands: a live view on a terminal, a plain line now and then elsewhere."""
    if console.is_terminal:
        with Live(get_renderable=lambda: panel(status()), console=console, transient=True):
            yield from steps
        return
    shown = time.monotonic()
    for step in steps:
        if time.monotonic() - shown >= EVERY:
            console.print(line(status()), markup=False)
            shown = time.monotonic()
        yield step


def line(now: RunStatus) -> str:
    """The run in one line."""
    parts = [f"{_done(now)} of {_length(now)}", f"{duration(now.trained)} of training", _speed(now), _eta(now)]
    return f"training {now.name}: {', '.join(part for part in parts if part)}"


def panel(now: RunStatus) -> RenderableType:
    """The run in a few lines."""
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
    """What is said at the end of a run: its figures, where its files are, and what to type next.

    Args:
        now: how it stands.
        stopped: whether a sweep has ended it early.
        further: commands, and what each of them does.
    """
    unit, (first, start), (mark, last) = now.schedule.unit, now.history[0], now.history[-1]
    best_at, best = now.best
    speed = f" ({_speed(now)})" if now.step else ""
    lines = [
        f"{'pruned' if stopped else 'done'}: {now.name}, {mark} {unit} in {duration(now.trained)} of training{speed}",
        f"{now.key}: {start:.4g} at {first} {unit}, {last:.4g} at {mark}; best {best:.4g} at {best_at}",
        f"files: {now.run_dir}",
    ]
    for command, what in further:
        lines += [f"to {what}:", f"    {command}"]
    return lines


def trend(figures: Sequence[float], maximised: bool) -> str:
    """`█▄▂▁ better`: the figures as bars from the lowest to the highest, and where the last one has gone."""
    shown = figures[-SHOWN:]
    low, span = min(shown), max(shown) - min(shown)
    bars = "".join(BARS[round((figure - low) / span * (len(BARS) - 1)) if span else 0] for figure in shown)
    if len(shown) < 2 or shown[-1] == shown[-2]:
        return bars
    return f"{bars} {'better' if (shown[-1] > shown[-2]) == maximised else 'worse'}"


def _lines(now: RunStatus) -> Iterator[tuple[str, str | Text]]:
    if now.history:
        best_at, best = now.best
        mark, figure = now.history[-1]
        text = Text(f"{figure:.4g}", style="bold")
        text.append(f" at {mark} {now.schedule.unit}, best {best:.4g} at {best_at}   ", style="not bold")
        text.append(trend([each for _, each in now.history], now.maximised), style="not bold cyan")
        yield now.key, text
    losses = {name: value for name, value in now.values.items() if name.startswith("loss/")}
    if losses:
        yield "loss", "  ".join(f"{name.removeprefix('loss/')} {value:.4g}" for name, value in losses.items())
    if "memory_gb" in now.values:
        yield "memory", f"{now.values['memory_gb']:.2f} GB at most"
    yield "files", Text(str(now.run_dir), overflow="ellipsis", no_wrap=True)


def _done(now: RunStatus) -> str:
    return f"{now.step * float(now.schedule.each):.1f}"


def _speed(now: RunStatus) -> str:
    return f"{now.trained / (now.step * float(now.schedule.each)):.2f} s/{now.schedule.unit}" if now.step else ""


def _eta(now: RunStatus) -> str:
    left = now.left()
    return "" if left is None else f"ETA {duration(left)}"


def _length(now: RunStatus) -> str:
    """Its units, or what they are likely to come to."""
    length, about = now.schedule.length, ""
    if now.limit is not None and now.trained:
        length = min(length, max(1, round(now.limit / now.trained * now.step * float(now.schedule.each))))
        about = "about "
    return f"{about}{length} {now.schedule.unit}"
