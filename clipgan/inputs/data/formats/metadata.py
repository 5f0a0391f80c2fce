"""`data=metadata`: images with a `metadata.jsonl` or `metadata.csv`, the layout of Hugging Face's imagefolder.

A row's `file_name` is the image's path below the table's folder. Another column is its caption: a string, or in JSON a
list of strings. Several rows may give captions to one image. Folders named after splits are the splits.
"""

import os
import posixpath
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from clipgan.base.errors import UserError
from clipgan.config import DataConfig
from clipgan.inputs.data.account import Account
from clipgan.inputs.data.files import Found, Listing, found
from clipgan.inputs.data.folders import Folder, walk
from clipgan.inputs.data.image_listing import check_any, check_captioned
from clipgan.inputs.data.images import CaptionedImage, image_file, is_image
from clipgan.inputs.data.limits import check_table_size
from clipgan.inputs.data.splits import find_splits
from clipgan.inputs.data.tables import Row, csv_rows, json_rows, texts_of
from clipgan.inputs.data.text import checked, decode, one_caption

TABLES = ("metadata.jsonl", "metadata.csv")
FILE = "file_name"


def find(root: Path, config: DataConfig) -> Found:
    """Find the images that the tables below `root` name.

    Args:
        root: has a table, or folders of splits (see `find_splits`) with a table each.
        config: `caption_column` names the column of captions, `encoding` is the encoding of the tables.

    Raises:
        UserError: there is no folder, no image, no table or no caption, or a table lacks the two columns.
    """
    account = Account()
    splits = find_splits(root, account)
    paths: list[tuple[Folder, str]] = []
    tables: list[tuple[Folder, str]] = []
    for folder in walk(root, account):
        for name in folder.files:
            if name.lower() in TABLES:
                tables.append((folder, name))
            elif is_image(folder.path, name):
                paths.append((folder, name))
            else:
                account.other(folder.name_of(name))
    if not tables:
        raise UserError(
            f"data.path={root} has no {' and no '.join(TABLES)}; data=folder reads a .txt beside each image"
        )
    captions: dict[str, list[str]] = {}
    names = _Names(folder.name_of(name) for folder, name in paths)
    for folder, name in tables:
        _read_table(folder, name, root, config, captions, names, account)
    images: dict[str, list[CaptionedImage]] = {"train": [], "heldout": []}
    for folder, name in paths:
        if (split := splits.of(folder.parts, folder.name_of(name), account)) is not None:
            path = folder.name_of(name)
            images[split].append(image_file(folder.path / name, path, captions.get(path, [])))
    check_any(images["train"], root, account)
    check_captioned(images["train"], root, f"into the column {config.caption_column} of a table", account)
    return found(Listing(images["train"], images["heldout"] if splits.exist else None, account))


class _Names:
    """The images that are there, found by what a table says of them."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {unicodedata.normalize("NFC", name): name for name in names}  # macOS decomposes letters (NFD)

    def find(self, written: str) -> str | None:
        """Return the name of the image that is written so, also with Windows' backslashes; None: there is none."""
        both = (posixpath.normpath(path) for path in (written, written.replace("\\", "/")))
        return next((self._names[name] for path in both if (name := unicodedata.normalize("NFC", path)) in self._names),
                    None)  # fmt: skip


def _read_table(
    folder: Folder,
    name: str,
    root: Path,
    config: DataConfig,
    captions: dict[str, list[str]],
    names: _Names,
    account: Account,
) -> None:
    """Add the captions of a table's rows to `captions`, and a message about each faulty row to the account.

    Raises:
        UserError: the table cannot be decoded, or no row has the two columns.
    """
    table, column = folder.name_of(name), config.caption_column
    columns: dict[str, None] = {}
    used, faults_before = False, len(account.faults())
    for number, row in _rows(folder.path / name, table, config, account):
        place = f"{table}:{number}"
        if isinstance(row, str):
            account.skip(place, row)
            continue
        columns |= dict.fromkeys(filter(None, row))
        file = row.get(FILE)
        if not isinstance(file, str):
            account.skip(place, f"it has no {FILE}")
            continue
        image = names.find(folder.name_of(file))
        try:
            texts = texts_of(row, column)
            used = used or texts is not None
            texts = [one_caption(checked(text, config.encoding)) for text in texts or ()]
            if image is None:
                checked(file.replace("\0", ""), config.encoding)
        except ValueError as error:
            used = True
            account.skip_captions(place, error)
            continue
        if posixpath.isabs(file):
            account.skip(place, f"an absolute path, and {FILE} is one below the table's folder ({file})")
        elif posixpath.normpath(file).startswith(".."):
            account.skip(place, f"outside of the folder ({file})")
        elif image is not None:
            captions.setdefault(image, []).extend(filter(None, texts))
        else:
            there = os.path.exists(folder.path / file)
            account.skip(folder.name_of(file), "not an image that Pillow can read" if there else "no such image")
    if not used:
        faults = "; ".join(account.faults()[faults_before:][:3])
        no_row = f"no row that can be read: {faults}" if faults else "no row"
        raise UserError(
            f"data.path={root}: {table} needs the columns {FILE} and data.caption_column={column}; "
            f"it has {', '.join(columns) or no_row}"
        )


def _rows(path: Path, table: str, config: DataConfig, account: Account) -> Iterator[tuple[int, Row]]:
    try:
        check_table_size(path.stat().st_size)
        text = decode(path.read_bytes(), config.encoding)
    except (OSError, ValueError) as error:
        raise UserError(f"data.path={config.path}: {table} cannot be read ({error}); see data.encoding") from error
    if path.suffix.lower() == ".jsonl":
        return json_rows(text)
    return csv_rows(text, FILE, config.caption_column, lambda sentence: account.note(f"{table}: {sentence}"))
