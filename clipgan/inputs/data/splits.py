"""Splits by the names of folders: `train/` beside `val/` or `test/`, in any case, in the root or in a folder below."""

import functools
import os
import re
from collections.abc import Sequence
from pathlib import Path

from clipgan.inputs.data.account import Account
from clipgan.inputs.data.folders import kind_of
from clipgan.inputs.data.made_here import is_made_here

TRAIN = ("train", "training")
HELDOUT = ("validation", "valid", "val", "dev", "test", "testing", "eval")  # the first one that exists is held out
LONE_FOLDERS = 20  # links may go round in a circle


class Splits:
    """Tells the split of a file from the folders above it."""

    def __init__(self, above: str = "", names: Sequence[str] = ()) -> None:
        """Choose among folders.

        Args:
            above: the folder below the root that has them, such as `data/`; empty: they are in the root.
            names: the names of the folders; without one of training and one of held-out images they are no splits.
        """
        kinds = {name: name.casefold() for name in names}
        first = next((kind for kind in HELDOUT if kind in kinds.values()), None)
        train = {name for name, kind in kinds.items() if kind in TRAIN}
        self.above, self.depth = above, above.count("/")
        self.exist = first is not None and bool(train)
        self.train = train if self.exist else set()
        self.heldout = {name for name, kind in kinds.items() if kind == first} if self.exist else set()
        self.second = {name for name, kind in kinds.items() if kind in HELDOUT} - self.heldout if self.exist else set()

    def __str__(self) -> str:
        train, heldout = (" and ".join(f"{self.above}{name}/" for name in sorted(names))
                          for names in (self.train, self.heldout))  # fmt: skip
        return f"training images are those of {train}, held-out images those of {heldout}"

    def of(self, parts: Sequence[str], name: str, account: Account) -> str | None:
        """Return `train` or `heldout` for a file in the folder `parts` below the root, `train` if there are no splits.

        `name` is the file's path below the root.

        Files of neither split go to the account, and the answer is None. Without splits, folders whose names say that
        their images are held out (`cat/test`, `test_images`) go there too.
        """
        if not self.exist:
            if (place := next((k for k, part in enumerate(parts) if is_like_heldout(part)), None)) is not None:
                account.like_heldout("/".join((*parts[: place + 1], "")))
            return "train"
        inside = "".join(f"{part}/" for part in parts[: self.depth]) == self.above
        folder = parts[self.depth] if inside and len(parts) > self.depth else None
        if folder in self.train:
            return "train"
        if folder in self.heldout:
            return "heldout"
        account.outside(name, f"{self.above}{folder}" if folder in self.second else None)
        return None


def find_splits(root: Path, account: Account) -> Splits:
    """Look for the folders of splits in `root`, or else in its folders, and say in the account which were found.

    As long as a folder has nothing but one other folder, the splits are looked for in that one.
    """
    above, top = "", subfolders(root)
    for _ in range(LONE_FOLDERS):
        if len(top) != 1 or not (inner := subfolders(root / above / top[0])):
            break
        above, top = f"{above}{top[0]}/", inner
    below = [Splits(f"{above}{name}/", subfolders(root / above / name)) for name in top]
    found = [splits for splits in (Splits(above, top), *below) if splits.exist]
    if found and (found[0].above == above or (len(found) == 1 and not any(map(is_like_heldout, top)))):
        account.note(str(found[0]))
        return found[0]
    return Splits()


def words(name: str) -> set[str]:
    """Return the words in a name: `cc3m-train-0001` has cc, m and train."""
    return set(re.findall(r"[a-z]+", name.casefold()))


@functools.cache
def is_like_heldout(name: str) -> bool:
    """Whether the name of a folder or an archive says that its images are held out: `test_images`, `val2017`."""
    return not words(name).isdisjoint(HELDOUT)


def subfolders(path: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted; links count, and folders that `walk` leaves out do not."""
    try:
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in entries if kind_of(entry) == "folder")
    except OSError:
        return []
    return [name for name in names if not is_made_here(path / name)]
