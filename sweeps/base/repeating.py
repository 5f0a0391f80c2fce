"""A thread that does something again and again while a block lasts."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeating(action: Callable[[threading.Event], None], seconds: float) -> Iterator[None]:
    """Call `action` every so many seconds, in a thread, until the block ends; its argument is set from then on."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            action(over)

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
