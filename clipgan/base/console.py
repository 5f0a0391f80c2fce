"""Print safely, and show progress with an ETA: a bar on a terminal, else a plain line every few seconds.

Names and texts from outside (files, prompts, captions, errors) may hold rich's markup or a terminal's escape codes. All
output goes through one kind of console, where text is never markup and control characters are escaped.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.segment import Segment

from clipgan.base.text import printable

T = TypeVar("T")


class PlainConsole(Console):
    """A console that prints text as it is."""

    def __init__(self, **settings: Any) -> None:
        """`settings` are those of rich's `Console`."""
        super().__init__(**{"highlight": False, "markup": False, "emoji": False, "soft_wrap": True} | settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Render as rich does, and escape each text's control characters."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


console = PlainConsole()


def duration(seconds: float) -> str:
    """Format seconds as `1:02:03`, or `2:03` below an hour."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def track(
    items: Iterable[T], description: str, total: int, every: float = 10.0, size: int = 1, done: int = 0
) -> Iterator[T]:
    """Yield `items` and show the progress.

    Args:
        items: what to iterate over.
        description: the words in front of the bar.
        total: the amount at the end, including `done`.
        every: seconds before the first plain line and between two lines, if the output is not a terminal.
        size: the amount per item (the last item may be smaller).
        done: the amount that an interrupted run has done.
    """
    if done:
        console.print(f"{description}: resuming at {done} of {total}")
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("ETA"), TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(printable(description), total=total, completed=done)
            for item in items:
                yield item
                progress.advance(task, size)
        return
    start = shown = time.monotonic()
    for number, item in enumerate(items):
        now, fresh = time.monotonic(), number * size
        if now - shown >= every and fresh:
            rate = fresh / (now - start)
            left = duration((total - done - fresh) / rate)
            speed = f"{rate:.0f}/s" if rate >= 10 else f"{rate:.2f}/s"
            figures = f"{done + fresh}/{total}, {duration(now - start)} elapsed, {speed}, ETA {left}"
            console.print(f"{description}: {figures}")
            shown = now
        yield item
