"""Progress with an ETA: a bar on a terminal, a plain line now and then elsewhere."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")
console = Console(highlight=False, soft_wrap=True)


def _duration(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def track(items: Iterable[T], description: str, total: int, every: float = 10.0) -> Iterator[T]:
    """Yield `items` and show how far they are.

    Args:
        items: what to iterate over.
        description: the words in front of the bar.
        total: how many items there will be.
        every: seconds between two plain lines where the output is no terminal (nothing is printed before the first).
    """
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("ETA"), TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns, console=console, transient=True) as progress:
            yield from progress.track(items, total=total, description=description)
        return
    start = shown = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - shown >= every and done:
            eta = (now - start) / done * (total - done)
            console.print(f"{description}: {done}/{total}, {_duration(now - start)} elapsed, ETA {_duration(eta)}")
            shown = now
        yield item
