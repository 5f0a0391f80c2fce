"""Print safely, and show progress with an ETA: a bar on a terminal, else a plain line every few seconds.

Names and texts from outside (files, prompts, captions, errors) may hold rich's markup or a terminal's escape codes. All
output goes through one kind of console, where text is never markup and control characters are escaped.
"""

import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any, TextIO, TypeVar, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.segment import Segment

from clipgan.base.standard_streams import open_missing
from clipgan.base.text import printable

T = TypeVar("T")
UNABLE = ("dumb", "unknown")  # values of TERM: on such a terminal, as in an editor, rich's live views show nothing
LOST = (errno.EPIPE, errno.EIO, errno.ENXIO)  # nobody reads a pipe any more; a terminal is gone


class Output:
    """Standard output that a program survives the loss of: what is written afterwards is dropped."""

    def __init__(self) -> None:
        self.when_lost: Callable[[], None] | None = None  # called at the loss; None: the program ends with status 141

    def write(self, text: str) -> int:
        """Write to the standard output of this moment."""
        with self._surviving():
            self._stdout.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush it."""
        with self._surviving():
            self._stdout.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stdout.isatty()

    def fileno(self) -> int:
        """Its descriptor."""
        return self._stdout.fileno()

    @property
    def encoding(self) -> str:
        """Its encoding."""
        return self._stdout.encoding

    @property
    def _stdout(self) -> TextIO:
        """The standard output behind rich's stand-in, which prints to the console, and so again to this object."""
        return cast(TextIO, getattr(sys.stdout, "rich_proxied_file", sys.stdout))

    @contextmanager
    def _surviving(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in LOST:
                raise
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stdout.fileno())  # also for what the interpreter flushes at its end
            os.close(nowhere)
            if self.when_lost is None:
                raise SystemExit(128 + signal.SIGPIPE) from None
            self.when_lost()


open_missing()
output = Output()


class PlainConsole(Console):
    """A console that prints text as it is."""

    def __init__(self, **settings: Any) -> None:
        """`settings` are those of rich's `Console`."""
        self._is_forced = bool(settings.get("force_terminal"))
        super().__init__(**{"highlight": False, "markup": False, "emoji": False, "soft_wrap": True} | settings)

    @property
    def is_terminal(self) -> bool:
        """Whether the output is a terminal that can redraw lines: a pipe is none with FORCE_COLOR, which CI sets."""
        can_redraw = getattr(self.file, "isatty", bool)() and os.environ.get("TERM") not in UNABLE
        return super().is_terminal and (self._is_forced or can_redraw)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Render as rich does, and escape each text's control characters."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


console = PlainConsole(file=cast(IO[str], output))


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
