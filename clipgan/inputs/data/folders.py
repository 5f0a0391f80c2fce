"""Walking a data set's folder in the order of names: links are followed, and a circle of links ends with a line."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from clipgan.base import lookup
from clipgan.base.errors import UserError
from clipgan.inputs.data.account import BLOCKED, CIRCLE, DANGLING, SPECIAL, SPECIAL_LINK, Account
from clipgan.inputs.data.images import is_image
from clipgan.inputs.data.made_here import is_made_here

SYSTEM = ("thumbs.db", "desktop.ini", "__macosx", "@eadir")  # Windows, macOS and Synology put them beside images


@dataclass(frozen=True)
class Folder:
    """A folder below a data set's root."""

    path: Path
    parts: tuple[str, ...]  # its path below the root; empty for the root
    files: list[str]  # names of its files, sorted

    def name_of(self, file: str) -> str:
        """Return a file's path below the root, with slashes."""
        return "/".join((*self.parts, file))


def is_hidden(name: str) -> bool:
    """Whether a name is of a hidden file (`.git`, `._0.jpg`) or of one that a system keeps for itself."""
    return name.startswith(".") or name.lower() in SYSTEM


def walk(root: Path, account: Account) -> Iterator[Folder]:
    """Yield `root` and each folder below it, in the order of names; memory holds the names of one path at a time.

    A link to a file is the file, and a link to a folder is the folder. Hidden files, dangling links, folders that
    cannot be read, folders below the root that clipgan or MLflow has written and links that lead back to a folder
    above them go to the account.

    Raises:
        UserError: `root` is not a folder.
    """
    check_folder(root)
    yield from _below(root, (), (), account)


def check_folder(root: Path) -> None:
    """Refuse what is no folder.

    Raises:
        UserError: `root` is not a folder.
    """
    if not lookup.is_dir(root):
        raise UserError(f"data.path={root} is not a folder; give a folder with images and their captions")


def _below(
    path: Path, parts: tuple[str, ...], above: tuple[tuple[int, int], ...], account: Account
) -> Iterator[Folder]:
    """Walk one folder; `above` identifies the folders that led here."""
    name = "/".join(parts) or "."
    try:
        stat = path.stat()
        with os.scandir(path) as found:
            entries = sorted(found, key=lambda entry: entry.name)
            kinds = {entry.name: kind_of(entry) for entry in entries}
            links = [entry.name for entry in entries if entry.is_symlink()]
    except OSError as error:
        account.skip(name, f"the folder cannot be read ({error.strerror})")
        return
    if (stat.st_dev, stat.st_ino) in above:
        account.skip(name, CIRCLE)
        account.links["folder"] -= 1
        return
    folder = Folder(path, parts, [file for file, kind in kinds.items() if kind == "file"])
    account.links["file"] += sum(kinds[name] == "file" for name in links)
    yield folder
    for file, kind in kinds.items():
        if kind == "folder" and is_made_here(path / file):
            account.made_here(folder.name_of(file))
        elif kind == "folder":
            account.links["folder"] += file in links
            yield from _below(path / file, (*parts, file), (*above, (stat.st_dev, stat.st_ino)), account)
        elif kind == "hidden":
            account.hide(folder.name_of(file))
        elif kind != "file":
            account.skip(folder.name_of(file), kind)


def kind_of(entry: os.DirEntry) -> str:
    """Return `file`, `folder`, `hidden`, or the reason why it is none of them."""
    if is_hidden(entry.name):
        return "hidden"
    try:
        if entry.is_file():  # or a link to a file
            return "file"
        if entry.is_dir():
            return "folder"
        entry.stat()
    except FileNotFoundError:
        return DANGLING
    except OSError as error:  # links that lead to each other, or into a folder that may not be entered
        return f"{BLOCKED} ({error.strerror})"
    return SPECIAL_LINK if entry.is_symlink() else SPECIAL


def image_files(root: Path, account: Account, known: Collection[str] = ()) -> Iterator[tuple[Folder, str]]:
    """Yield the images below `root`, each with its folder; list other files in the account, except `known` names.

    Raises:
        UserError: `root` is not a folder.
    """
    for folder in walk(root, account):
        for name in folder.files:
            if is_image(folder.path, name):
                yield folder, name
            elif folder.name_of(name) not in known:
                account.other(folder.name_of(name))
