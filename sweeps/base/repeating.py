"""Repeat an action in a thread while a block runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeating(action: Callable[[threading.Event], None], seconds: float) -> Iterator[None]:
    """Call `action` every `seconds` in a thread until the block ends; the end of the block sets its argument."""
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
