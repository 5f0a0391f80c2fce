"""Recognise a packed data set by its content: files that were moved, copied or touched are the same data."""

from pathlib import Path
from typing import NamedTuple

from clipgan.base.cache import digest
from clipgan.base.checksums import CHECKSUMS, recorded_checksums

NO_CONTENT = (
    "entry.json",
    "progress.json",
    "skipped.txt",
    "duplicates.txt",
    "notes.txt",
)  # how it was packed, not what


class Identity(NamedTuple):
    """What tells one packed data set from others."""

    fingerprint: str  # address of the first entry in this cache with this content: features are stored under it
    content: str | None  # digest of pixels, captions, names and supplied features; None in entries without checksums


def identify(entry: Path) -> Identity:
    """Identify a complete entry of the cache, from its checksums."""
    content, _ = _read(entry)
    if content is None:
        return Identity(entry.name, None)
    same = [(made, other.name) for other, (found, made) in _siblings(entry) if found == content]
    return Identity(min(same)[1], content)


def _siblings(entry: Path) -> list[tuple[Path, tuple[str | None, int]]]:
    return [(path.parent, _read(path.parent)) for path in entry.parent.glob(f"*/{CHECKSUMS}")]


def _read(entry: Path) -> tuple[str | None, int]:
    """Return the digest of an entry's content, and the time of its newest file in ns; (None, 0) if unreadable."""
    try:
        recorded = recorded_checksums(entry)
    except (OSError, ValueError):
        return None, 0
    if not recorded:
        return None, 0
    files = {name: sha256 for name, (_, _, sha256) in recorded.items() if Path(name).name not in NO_CONTENT}
    return digest(files), max(time for _, time, _ in recorded.values())
