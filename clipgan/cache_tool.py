"""List, verify or empty the cache of packed data, trained encoders and features.

python -m clipgan.cache_tool info|verify|clean [--cache-dir DIR] [--kind KIND] [--yes]
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout
from rich.table import Table

from clipgan.base import lookup
from clipgan.base.cache import DESCRIPTION, default_cache_dir, is_entry
from clipgan.base.checksums import ALL, damage, files_of
from clipgan.base.console import console
from clipgan.base.text import counted
from clipgan.config.command_line import messages_not_tracebacks

KINDS = ("data", "clip", "resnet", "features", "ridge", "fidelity", "evaluations", "downloads")
WHOLE, UNFINISHED = "whole", "unfinished"


def entries(root: Path, kind: str | None) -> Iterator[Path]:
    """Yield complete and unfinished (`.partial`) entries of a kind (None: of all kinds), sorted by kind and age.

    Only directories with this project's mark are entries; see `is_entry`.
    """
    folders = [path for each in KINDS if kind in (None, each) for path in root.glob(f"{each}/*") if is_entry(path)]
    yield from sorted(folders, key=lambda path: (path.parent.name, path.stat().st_mtime))


def size(entry: Path) -> int:
    """Return the size of an entry's files in bytes."""
    return sum(path.stat().st_size for path in files_of(entry))


def state(entry: Path, thorough: bool) -> str:
    """Return `whole`, `unfinished`, or a description of the damage; `thorough` reads every file."""
    if entry.suffix == ".partial":
        return UNFINISHED
    try:
        return damage(entry, ALL if thorough else 0) or WHOLE
    except PermissionError as error:
        return f"{Path(error.filename).name} may not be read by this user"


def content_names(entry: Path) -> str:
    """Return the names of data set, resolution and encoder in an entry's description."""
    description = json.loads((entry / DESCRIPTION).read_text())
    source = description.get("source")
    name = source.get("name") if isinstance(source, dict) else None
    words = [name, description.get("resolution"), description.get("data"), description.get("encoder")]
    return " ".join(str(word) for word in words if word)


def table(root: Path, found: Iterable[tuple[Path, str]]) -> Table:
    """Make a table with a row for each entry and its state."""
    result = Table(title=str(root))
    for column in ("kind", "entry", "of", "MB", "made", "state"):
        result.add_column(column, justify="right" if column == "MB" else "left")
    total = 0
    for entry, condition in found:
        made = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.stat().st_mtime))
        total += (bytes_ := size(entry))
        result.add_row(entry.parent.name, entry.stem, content_names(entry), f"{bytes_ / 1e6:.1f}", made, condition)
    result.add_row("", "", "in all", f"{total / 1e6:.1f}", "", "")
    return result


def clean(chosen: Sequence[Path]) -> tuple[int, int]:
    """Remove the entries that no process is making; return the number of removed entries and of freed bytes."""
    count = freed = 0
    for entry in chosen:
        lock = FileLock(entry.with_suffix(".lock"))
        try:
            with lock.acquire(timeout=0):
                if entry.exists():  # it may have been completed, and so renamed, since it was listed
                    freed += size(entry)
                    shutil.rmtree(entry)
                    count += 1
        except Timeout:
            console.print(f"{entry} is being made by a process: kept")
    return count, freed


def confirmed(count: int, root: Path, yes: bool) -> bool:
    """Whether the user wants to remove `count` entries: asked on a terminal, else `--yes` must say so."""
    if yes or count == 0:
        return True
    if not sys.stdin.isatty():
        sys.exit(f"clean would remove {counted(count, 'entry', 'entries')} of {root}: add --yes to remove them")
    return input(f"remove {counted(count, 'entry', 'entries')}? [y/N] ").strip().lower() in ("y", "yes")


def main() -> None:
    """Run the command line; what the system refuses ends it with one message."""
    with messages_not_tracebacks("--cache-dir"):
        _run()


def _run() -> None:
    parser = argparse.ArgumentParser(prog="python -m clipgan.cache_tool", description=(__doc__ or "").splitlines()[0])
    actions = "info: list the entries; verify: list them and read every file (status 1: one is damaged); clean: "
    parser.add_argument("what", choices=("info", "verify", "clean"), help=f"{actions}list them, ask, and remove them")
    parser.add_argument("--cache-dir", type=Path, help="default: clipgan/ in your cache home")
    parser.add_argument("--kind", choices=KINDS, help="only entries of this kind")
    parser.add_argument("--yes", action="store_true", help="clean: remove without a question")
    given = parser.parse_args()
    root: Path = given.cache_dir or default_cache_dir()
    there = entries(root, given.kind) if lookup.exists(root) else []
    found = [(entry, state(entry, given.what == "verify")) for entry in there]
    console.print(table(root, found))
    if given.what == "clean" and confirmed(len(found), root, given.yes):
        count, freed = clean([entry for entry, _ in found])
        console.print(f"{counted(count, 'entry', 'entries')} removed, {freed / 1e6:.1f} MB")
    if given.what == "verify" and any(condition not in (WHOLE, UNFINISHED) for _, condition in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
