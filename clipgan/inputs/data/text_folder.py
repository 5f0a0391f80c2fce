"""Captions in a folder of their own that mirrors the images' folder: `images/a/0.jpg` has its captions in `a/0.txt`."""

import os
from pathlib import Path

from clipgan.base.text import counted
from clipgan.inputs.data.account import Account
from clipgan.inputs.data.folders import walk


class TextFolder:
    """The text files below a folder."""

    def __init__(self, root: Path, account: Account) -> None:
        """List the files; those that are no `.txt`, in any case, go to the account."""
        self._name = root.name
        self._paths: dict[str, Path] = {}  # path below the folder, without its suffix -> file
        self._used: set[str] = set()
        for folder in walk(root, account):
            for file in folder.files:
                stem, suffix = os.path.splitext(folder.name_of(file))
                if suffix.lower() == ".txt":
                    self._paths[stem] = folder.path / file
                else:
                    account.other(f"{root.name}/{folder.name_of(file)}")

    def of(self, name: str) -> list[Path]:
        """Return the text file of the image at the path `name`, without its suffix; empty if there is none."""
        self._used.add(name)
        return [self._paths[name]] if name in self._paths else []

    def note_unused(self, account: Account) -> None:
        """Say in the account how many texts belong to no image."""
        if unused := self._paths.keys() - self._used:
            account.note(f"{self._name}/: {counted(len(unused), 'text')} without an image, such as {min(unused)}.txt")
