"""A content-addressed directory cache: a digest of its inputs is an entry's address; its files have checksums."""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from clipgan.base import lookup
from clipgan.base.checksums import ALL, damage, write_checksums
from clipgan.base.console import console
from clipgan.base.durable_files import flush_path, flush_tree, replace_text
from clipgan.base.errors import UserError
from clipgan.base.unread_files import LARGE, compare_unread, forget, note_unread

DESCRIPTION = "entry.json"
NAME = re.compile(r"[0-9a-f]{16}(\.partial)?")  # of an entry
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)
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


def cache_entry(
    root: Path,
    kind: str,
    description: Mapping[str, Any],
    build: Callable[[Path], None],
    resumable: bool = False,
    mapped: bool = False,
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
        mapped: the content is memory-mapped. Each use reads and compares all files, except large ones of such an entry:
            `unread_files` compares these later.

    Raises:
        UserError: the cache directory cannot be written, or is full; this user may not read the entry; an entry that
            this one is derived from is damaged.
    """
    entry = root / kind / digest(description)
    read_up_to = LARGE if mapped else ALL
    if not _intact(root, entry, read_up_to):
        _make(root, entry, description, build, resumable, read_up_to)
    if mapped:
        note_unread(entry)
    return entry


def _intact(root: Path, entry: Path, read_up_to: float) -> bool:
    """Whether the entry is complete and not damaged."""
    try:
        return lookup.is_dir(entry) and damage(entry, read_up_to) is None
    except PermissionError as error:
        raise UserError(
            f"cache_dir={root}: this user may not read {error.filename}, which another user has made; its owner can "
            f"allow it with chmod -R a+rX {root}; or give another with cache_dir=DIR"
        ) from error
    except OSError as error:  # a name is too long, the file system is gone
        raise _unwritable(root, error) from error


def _make(
    root: Path,
    entry: Path,
    description: Mapping[str, Any],
    build: Callable[[Path], None],
    resumable: bool,
    read_up_to: float,
) -> None:
    """Build a missing or damaged entry, unless another process has built it during the wait for the lock."""
    lock = _lock(root, entry)
    try:
        if lookup.is_dir(entry):
            reason = damage(entry, read_up_to)
            if reason is None:
                return
            console.print(f"cache: {entry} is damaged ({reason}): rebuilding it")
            shutil.rmtree(entry)
            forget(entry)
        _build(entry, description, build, resumable)
    except OSError as error:
        if error.errno in NO_SPACE:
            message = f"cache_dir={root} is full ({error.strerror}); make room, or give another with cache_dir=DIR"
            raise UserError(message) from error
        if error.errno in UNWRITABLE and Path(str(error.filename)).is_relative_to(root):
            raise _unwritable(root, error) from error
        raise
    finally:
        lock.release()


def is_entry(path: Path) -> bool:
    """Whether a directory is an entry of this project's cache, complete or unfinished (`.partial`).

    The mark is `entry.json`: an entry is named after the digest of the description in it. No other program's directory
    has this by accident.
    """
    if path.is_symlink() or not NAME.fullmatch(path.name):  # what another program has there is not read
        return False
    try:
        description = json.loads((path / DESCRIPTION).read_text())
        return isinstance(description, dict) and digest(description) == path.stem
    except (OSError, ValueError, RecursionError):
        return False


def _lock(root: Path, entry: Path) -> FileLock:
    """Acquire the entry's lock."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{entry}.lock")
        try:
            lock.acquire(timeout=WAIT)
        except Timeout:
            console.print(f"cache: waiting for another process that makes {entry}")
            lock.acquire()
    except OSError as error:
        raise _unwritable(root, error) from error
    return lock


def _unwritable(root: Path, error: OSError) -> UserError:
    return UserError(f"cache_dir={root} cannot be written ({error.strerror}); give another with cache_dir=DIR")


def _build(entry: Path, description: Mapping[str, Any], build: Callable[[Path], None], resumable: bool) -> None:
    partial = Path(f"{entry}.partial")
    if not resumable:
        shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(exist_ok=True)
    try:
        # first: an unfinished entry has its mark too
        replace_text(partial / DESCRIPTION, json.dumps(description, indent=2, sort_keys=True) + "\n")
        compare_unread()
        build(partial)
    except BaseException as error:
        if not resumable or isinstance(error, UserError):  # a user's mistake leaves nothing worth keeping
            shutil.rmtree(partial, ignore_errors=True)
        raise
    write_checksums(partial)
    flush_tree(partial)  # a power cut after the rename must find every byte
    partial.rename(entry)
    flush_path(entry.parent)
