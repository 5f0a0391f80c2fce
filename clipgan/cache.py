"""A content-addressed directory cache: what an entry is made of is its address."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from clipgan.errors import UserError


def default_cache_dir() -> Path:
    """`$XDG_CACHE_HOME/clipgan`, or `~/.cache/clipgan`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clipgan"


def digest(description: Mapping[str, Any]) -> str:
    """The first 16 hex digits of the SHA-256 of `description` as canonical JSON."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """The first 16 hex digits of the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def cache_entry(
    root: Path, kind: str, description: Mapping[str, Any], build: Callable[[Path], None], resumable: bool = False
) -> Path:
    """The directory `root/kind/<digest of description>`, built first if it is not there yet.

    `build(directory)` fills a temporary directory, which is renamed into place when it is complete: readers never see
    half an entry, and of several processes that want the same one, one builds while the others wait.

    Args:
        root: the cache directory; made if missing.
        kind: what the entry holds (`data`, `clip`, `features`, ...), for the human who looks into the cache.
        description: everything that the content depends on, as plain JSON values; kept in the entry as `entry.json`.
        build: writes the content into the directory that it is given.
        resumable: `build` goes on with what an interrupted one left in its directory, which is kept for it; otherwise
            each starts with an empty one.

    Raises:
        UserError: the cache directory cannot be written.
    """
    entry = root / kind / digest(description)
    if entry.is_dir():
        return entry
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{entry}.lock")
        lock.acquire()
    except OSError as error:
        message = f"cache_dir={root} cannot be written ({error.strerror}); give another with cache_dir=DIR"
        raise UserError(message) from error
    try:
        if entry.is_dir():  # another process built it while we waited
            return entry
        partial = Path(f"{entry}.partial")
        if not resumable:
            shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(exist_ok=True)
        try:
            build(partial)
        except BaseException as error:
            if not resumable or isinstance(error, UserError):  # of a mistake, nothing is worth keeping
                shutil.rmtree(partial, ignore_errors=True)
            raise
        (partial / "entry.json").write_text(json.dumps(description, indent=2, sort_keys=True) + "\n")
        partial.rename(entry)
    finally:
        lock.release()
    return entry
