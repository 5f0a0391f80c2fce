"""The checksums of a cache entry's files: written once, compared at each use."""

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path

CHECKSUMS = "checksums.json"


def file_digest(path: Path) -> str:
    """Return the first 16 hex digits of the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def files_of(entry: Path) -> Iterator[Path]:
    """Yield all files of an entry, sorted."""
    return (path for path in sorted(entry.rglob("*")) if path.is_file())


def write_checksums(directory: Path) -> None:
    """Record size, time and SHA-256 of each file below `directory` in its `checksums.json`."""
    checksums = {}
    for path in files_of(directory):
        if path != directory / CHECKSUMS:  # a killed process may have left one
            stat = path.stat()
            checksums[path.relative_to(directory).as_posix()] = (stat.st_size, stat.st_mtime_ns, file_digest(path))
    (directory / CHECKSUMS).write_text(json.dumps(checksums, indent=1) + "\n")


def recorded_checksums(entry: Path) -> dict[str, tuple[int, int, str]]:
    """Read an entry's checksums: name -> size in bytes, time in nanoseconds, digest.

    Raises:
        ValueError: the file has another content.
        OSError: the file is missing or cannot be read.
    """
    recorded = json.loads((entry / CHECKSUMS).read_text())
    try:
        return {str(name): (int(size), int(time), str(sha256)) for name, (size, time, sha256) in recorded.items()}
    except (AttributeError, TypeError) as error:
        raise ValueError("other content") from error


def damage(entry: Path, read_up_to: float = 0) -> str | None:
    """Describe the damage of a complete entry; None if it is intact.

    Args:
        entry: its directory.
        read_up_to: read and compare each file of at most so many bytes. A larger file is compared only if its time is
            not the recorded one, as in a copied cache.

    Raises:
        PermissionError: this user may not read a file.
    """
    try:
        recorded = recorded_checksums(entry)
    except PermissionError:
        raise
    except (OSError, ValueError):
        return f"{CHECKSUMS} cannot be read"
    found = (_file_damage(entry, name, *values, read_up_to) for name, values in recorded.items())
    return next((reason for reason in found if reason is not None), None)


def unread_files(entry: Path, read_up_to: float) -> dict[Path, str]:
    """Return the files that `damage(entry, read_up_to)` does not read, with their digests."""
    try:
        recorded = recorded_checksums(entry)
    except (OSError, ValueError):
        return {}
    return {entry / name: sha256 for name, (size, _, sha256) in recorded.items() if size > read_up_to}


def _file_damage(entry: Path, name: str, size: int, time: int, sha256: str, read_up_to: float) -> str | None:
    path = entry / name
    try:
        stat = path.stat()
        if stat.st_size != size:
            return f"{name} has {stat.st_size} bytes, not {size}"
        if (size <= read_up_to or stat.st_mtime_ns != time) and file_digest(path) != sha256:
            return f"{name} has other content than was written"
        path.open("rb").close()  # a PermissionError shows now, not when the file is used
    except PermissionError:
        raise
    except FileNotFoundError:
        return f"{name} is missing"
    except OSError as error:
        return f"{name} cannot be read ({error.strerror})"
    return None


ALL = math.inf  # for `read_up_to`: read every file
