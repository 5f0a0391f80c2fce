"""Power cuts, simulated at each write to the disk: what was not flushed is lost, what was renamed is not.

A file system may write names before contents. So after a cut a renamed file can have its new name and none of its
bytes. The model here is the worst that POSIX allows: a rename counts at once; a file has the bytes of its last fsync,
and behind these zeros up to its length (or nothing, or some of the blocks that were written since).
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BLOCK = 128  # bytes; numpy's header is one


class Disk:
    """Watches a folder; `images` are copies as they would be after a cut."""

    def __init__(self, root: Path, images: Path) -> None:
        self.root, self.images = root, images
        self.flushed: dict[int, bytes] = {}  # inode -> content at its last fsync
        self.count = 0

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record a cut after each fsync and after each rename of the block."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("fsync", "replace", "rename"):
                patch.setattr(os, name, self._wrapped(getattr(os, name)))
            yield

    def _wrapped(self, call):
        def run(*arguments):
            call(*arguments)
            if isinstance(arguments[0], int) and (path := Path(os.readlink(f"/proc/self/fd/{arguments[0]}"))).is_file():
                self.flushed[path.stat().st_ino] = path.read_bytes()
            self._cut()

        return run

    def _cut(self) -> None:
        files = [path for path in self.root.rglob("*") if path.is_file()]
        alive = {path.stat().st_ino for path in files}
        self.flushed = {inode: content for inode, content in self.flushed.items() if inode in alive}
        for kind in ("zeros", "short", "holes", "arrays"):
            image = self.images / f"{self.count:03d}-{kind}"
            shutil.copytree(self.root, image)
            for path in files:
                stat, lost = path.stat(), image / path.relative_to(self.root)
                lost.write_bytes(self._left(path, kind))
                os.utime(lost, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        self.count += 1

    def _left(self, path: Path, kind: str) -> bytes:
        """What is left of a file: each block either as at its last fsync or as written since."""
        written = path.read_bytes()
        flushed = self.flushed.get(path.stat().st_ino, b"")[: len(written)]
        if kind == "short":
            return flushed
        if kind == "arrays" and path.suffix != ".npy":
            return written
        flushed = flushed.ljust(len(written), b"\0")
        if kind == "zeros":
            return flushed
        blocks = range(0, len(written), BLOCK)
        return b"".join((flushed if k // BLOCK % 2 else written)[k : k + BLOCK] for k in blocks)
