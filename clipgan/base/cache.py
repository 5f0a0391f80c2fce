"""A content-addressed directory cache: a digest of its inputs is an entry's address; its files have checksums."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from clipgan.base.console import console
from clipgan.base.errors import UserError

CHECKSUMS = "checksums.json"
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
WAIT = 1.0  # seconds before a process prints that it waits for another


def default_cache_dir() -> Path:
    """`$XDG_CACHE_HOME/clipgan`, or `~/.cache/clipgan`.

    Raises:
        UserError: neither the environment nor the system names a home folder.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clipgan"
    except RuntimeError as error:  # a container's user without an entry
        raise UserError("there is no home folder for the cache: give cache_dir=DIR, or set HOME") from error


def cache_dir_of(given: str | None) -> Path:
    """Return the folder that `cache_dir` names, or the default folder."""
    return Path(given).expanduser() if given else default_cache_dir()


def digest(description: Mapping[str, Any]) -> str:
    """Return the first 16 hex digits of the SHA-256 of `description` as canonical JSON."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Return the first 16 hex digits of the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def cache_entry(
    root: Path, kind: str, description: Mapping[str, Any], build: Callable[[Path], None], resumable: bool = False
) -> Path:
    """Return the directory `root/kind/<digest of description>`; build it first if it is missing or damaged.

    `build(directory)` fills a temporary directory. The complete directory is then renamed, so readers never see half an
    entry. If several processes want the same entry, one process builds it and the others wait.

    Args:
        root: the cache directory; made if missing.
        kind: what the entry holds (`data`, `clip`, `features`, ...), for a person who looks into the cache.
        description: everything that the content depends on, as plain JSON values; stored as `entry.json`.
        build: writes the content into the given directory.
        resumable: keep the directory of an interrupted `build`, so that the next call continues there; otherwise each
            call starts with an empty directory.

    Raises:
        UserError: the cache directory cannot be written, or is full.
    """
    entry = root / kind / digest(description)
    if entry.is_dir() and damage(entry) is None:
        return entry
    lock = _lock(root, entry)
    try:
        if entry.is_dir():  # damaged, unless another process has rebuilt it during the wait
            reason = damage(entry)
            if reason is None:
                return entry
            console.print(f"cache: {entry} is damaged ({reason}): rebuilding it", markup=False)
            shutil.rmtree(entry)
        _build(entry, description, build, resumable)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        message = f"cache_dir={root} is full ({error.strerror}); make room, or give another with cache_dir=DIR"
        raise UserError(message) from error
    finally:
        lock.release()
    return entry


def damage(entry: Path, thorough: bool = False) -> str | None:
    """Describe the damage of a complete entry; None if it is intact.

    A file with the recorded size and time counts as intact. With another time (a copied cache), its bytes are compared.

    Args:
        entry: its directory; an entry of an earlier version, without checksums, counts as intact.
        thorough: read and compare every file.
    """
    try:
        recorded = _recorded(entry)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError):  # not JSON, or of another shape
        return f"{CHECKSUMS} cannot be read"
    for name, size, time, sha256 in recorded:
        try:
            stat = (entry / name).stat()
        except OSError:
            return f"{name} is missing"
        if stat.st_size != size:
            return f"{name} has {stat.st_size} bytes, not {size}"
        if (thorough or stat.st_mtime_ns != time) and file_digest(entry / name) != sha256:
            return f"{name} has other content than was written"
    return None


def _recorded(entry: Path) -> list[tuple[str, int, int, str]]:
    """Read an entry's checksums: name, size in bytes, time in ns and digest of each file."""
    content = json.loads((entry / CHECKSUMS).read_text()).items()
    return [(name, int(size), int(time), str(sha256)) for name, (size, time, sha256) in content]


def files_of(entry: Path) -> Iterator[Path]:
    """Yield all files of an entry, sorted."""
    return (path for path in sorted(entry.rglob("*")) if path.is_file())


def _lock(root: Path, entry: Path) -> FileLock:
    """Acquire the entry's lock."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{entry}.lock")
        try:
            lock.acquire(timeout=WAIT)
        except Timeout:
            console.print(f"cache: waiting for another process that makes {entry}", markup=False)
            lock.acquire()
    except OSError as error:
        message = f"cache_dir={root} cannot be written ({error.strerror}); give another with cache_dir=DIR"
        raise UserError(message) from error
    return lock


def _build(entry: Path, description: Mapping[str, Any], build: Callable[[Path], None], resumable: bool) -> None:
    partial = Path(f"{entry}.partial")
    if not resumable:
        shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(exist_ok=True)
    try:
        build(partial)
    except BaseException as error:
        if not resumable or isinstance(error, UserError):  # a user's mistake leaves nothing worth keeping
            shutil.rmtree(partial, ignore_errors=True)
        raise
    (partial / "entry.json").write_text(json.dumps(description, indent=2, sort_keys=True) + "\n")
    checksums = {}
    for path in files_of(partial):
        stat = path.stat()
        checksums[path.relative_to(partial).as_posix()] = (stat.st_size, stat.st_mtime_ns, file_digest(path))
    (partial / CHECKSUMS).write_text(json.dumps(checksums, indent=1) + "\n")
    partial.rename(entry)
