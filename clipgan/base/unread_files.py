"""Large memory-mapped files of the cache are not read at a start: they are compared with their checksums later.

A training compares them in the background. A new entry may derive from them, so before it is made they are compared.
"""

import hashlib
import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from clipgan.base.checksums import file_digest, unread_files
from clipgan.base.errors import UserError

LARGE = 8 * 2**20  # bytes; a start reads memory-mapped files up to this size, each in 4 to 20 ms
PIECE = 2**20  # bytes that the background reads at a time
SHARE = 0.005  # of one core's time that the background takes; its wake-ups cost as much again at most

_unread: dict[Path, str] = {}  # files of entries that this process uses, with their digests


def note_unread(entry: Path) -> None:
    """Remember the large files of an entry that this process begins to use."""
    _unread.update(unread_files(entry, LARGE))


def forget(entry: Path) -> None:
    """Forget the files of an entry that is removed."""
    for path in list(_unread):
        if path.is_relative_to(entry):
            _unread.pop(path, None)


def compare_unread() -> None:
    """Compare all unread files now: a new entry is about to be derived from them.

    Raises:
        UserError: a file is damaged, and the next start rebuilds its entry; or a file is gone.
    """
    for path, sha256 in list(_unread.items()):
        try:
            found = file_digest(path)
        except OSError as error:
            _unread.pop(path, None)  # the cache may have been removed: a process that goes on makes it anew
            raise UserError(f"cache: {path} is in use and cannot be read ({error.strerror}): run it again") from error
        if found != sha256:
            raise UserError(_mark(path))
        _unread.pop(path, None)  # the background may have compared it meanwhile


class BackgroundCheck:
    """Compares the unread files while a training runs, in a thread that takes less than 1 % of a core."""

    def __init__(self) -> None:
        self.damage: str | None = None  # the message, as soon as a file is found damaged
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._compare, name="cache check", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end.set()
        self._thread.join()

    def refuse_damage(self) -> None:
        """Raise a UserError if a file is damaged."""
        if self.damage is not None:
            raise UserError(self.damage)

    def _compare(self) -> None:
        # the smallest first: most of the files are then compared in the first seconds
        for path, sha256 in sorted(_unread.items(), key=lambda item: _size(item[0])):
            try:
                found = self._slow_digest(path)
            except OSError as error:
                found = str(error)
            if self._end.is_set():
                return
            if found != sha256:
                self.damage = f"{_mark(path)}; steps before this one may have used it: resume=none starts over"
                return
            _unread.pop(path, None)

    def _slow_digest(self, path: Path) -> str:
        digest = hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            start = time.thread_time()
            while not self._end.is_set() and (piece := file.read(PIECE)):
                digest.update(piece)
                busy, start = time.thread_time() - start, time.thread_time()
                self._end.wait(busy * (1 / SHARE - 1))
        return digest.hexdigest()[:16]


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _mark(path: Path) -> str:
    """Let the next start rebuild the entry of a damaged file; return the message."""
    try:
        os.utime(path)  # the time is no longer the recorded one, so that the bytes are compared at each start
    except OSError as error:
        return f"cache: {path} is damaged, and cannot be marked ({error.strerror}): delete its folder"
    return f"cache: {path} has other content than was written; the next start rebuilds it"
