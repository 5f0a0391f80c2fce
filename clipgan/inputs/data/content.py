"""Recognise a packed data set by its content: files that were moved, copied or touched are the same data."""

from contextlib import suppress
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
    content: str  # digest of pixels, captions, names and supplied features


def identify(entry: Path) -> Identity:
    """Identify a complete entry of the cache, from its checksums."""
    content, made = _read(entry)
    same = [(made, entry.name)]
    for other in (path.parent for path in entry.parent.glob(f"*/{CHECKSUMS}") if path.parent != entry):
        with suppress(OSError, ValueError):  # another user's, or damaged
            found, made = _read(other)
            if found == content:
                same.append((made, other.name))
    return Identity(min(same)[1], content)


def _read(entry: Path) -> tuple[str, int]:
    """Return the digest of an entry's content, and the time of its newest file in ns."""
    recorded = recorded_checksums(entry)
    files = {name: sha256 for name, (_, _, sha256) in recorded.items() if Path(name).name not in NO_CONTENT}
    return digest(files), max(time for _, time, _ in recorded.values())
