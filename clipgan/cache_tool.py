"""List, verify or empty the cache of packed data, trained encoders and features.

python -m clipgan.cache_tool info|verify|clean [--cache-dir DIR] [--kind KIND]
"""

import argparse
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout
from rich.table import Table

from clipgan.base.cache import damage, default_cache_dir, files_of
from clipgan.base.console import console


def entries(root: Path, kind: str | None) -> Iterator[Path]:
    """Yield complete and unfinished (`.partial`) entries of a kind (None: of all kinds), sorted by kind and age."""
    folders = [path for path in root.glob("*/*") if path.is_dir() and kind in (None, path.parent.name)]
    yield from sorted(folders, key=lambda path: (path.parent.name, path.stat().st_mtime))


def size(entry: Path) -> int:
    """Return the size of an entry's files in bytes."""
    return sum(path.stat().st_size for path in files_of(entry))


def state(entry: Path, thorough: bool) -> str:
    """Return `whole`, `unfinished`, or a description of the damage; `thorough` reads every file."""
    return "unfinished" if entry.suffix == ".partial" else damage(entry, thorough) or "whole"


def content_names(entry: Path) -> str:
    """Return the names of data set, resolution and encoder in an entry's description; empty if unreadable."""
    try:
        description = json.loads((entry / "entry.json").read_text())
    except (OSError, ValueError):
        return ""
    source = description.get("source", {})
    words = [source.get("name"), description.get("resolution"), description.get("data"), description.get("encoder")]
    return " ".join(str(word) for word in words if word)


def table(root: Path, kind: str | None, thorough: bool) -> Table:
    """Make a table with a row for each entry."""
    result = Table(title=str(root))
    for column in ("kind", "entry", "of", "MB", "made", "state"):
        result.add_column(column, justify="right" if column == "MB" else "left")
    total = 0
    for entry in entries(root, kind):
        made = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.stat().st_mtime))
        total += size(entry)
        names, megabytes = content_names(entry), f"{size(entry) / 1e6:.1f}"
        result.add_row(entry.parent.name, entry.stem, names, megabytes, made, state(entry, thorough))
    result.add_row("", "", "in all", f"{total / 1e6:.1f}", "", "")
    return result


def clean(root: Path, kind: str | None) -> tuple[int, int]:
    """Remove all entries that no process is making; return the number of removed entries and of freed bytes."""
    count = freed = 0
    for entry in entries(root, kind):
        lock = FileLock(entry.with_suffix(".lock"))
        try:
            with lock.acquire(timeout=0):
                freed += size(entry)
                shutil.rmtree(entry)
                count += 1
        except Timeout:
            console.print(f"{entry} is being made by a process: kept", markup=False)
    return count, freed


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m clipgan.cache_tool", description=(__doc__ or "").splitlines()[0])
    actions = "info: list the entries; verify: list them and read every file; clean: remove them"
    parser.add_argument("what", choices=("info", "verify", "clean"), help=actions)
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="default: %(default)s")
    parser.add_argument("--kind", help="only entries of this kind: data, features, clip, resnet, ...")
    given = parser.parse_args()
    if given.what == "clean":
        count, freed = clean(given.cache_dir, given.kind)
        console.print(f"{count} entries removed, {freed / 1e6:.1f} MB", markup=False)
        return
    console.print(table(given.cache_dir, given.kind, thorough=given.what == "verify"))


if __name__ == "__main__":
    main()
