"""`data=metadata`: images with a `metadata.jsonl` or `metadata.csv`, the layout of Hugging Face's imagefolder.

A row's `file_name` is the image's path below the table's folder. Another column is its caption: a string, or in JSON a
list of strings. Several rows may give captions to one image. Folders named after splits are the splits.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from clipgan.base.errors import UserError
from clipgan.config import DataConfig
from clipgan.inputs.data.files import Found, Listing, found
from clipgan.inputs.data.formats.folder import image_paths
from clipgan.inputs.data.images import CaptionedImage, image_file

TABLES = ("metadata.jsonl", "metadata.csv")
TRAIN, HELDOUT = ("train", "training"), ("validation", "valid", "val", "dev", "test", "eval")  # Hugging Face's names


def find(folder: Path, config: DataConfig) -> Found:
    """Find the images that the tables below `folder` name.

    Args:
        folder: has a table, or folders of splits with a table each; if there are several held-out splits, the first
            name in `HELDOUT` is used.
        config: `caption_column` names the column of captions.

    Raises:
        UserError: there is no folder, no image or no table, or a table lacks the two columns.
    """
    paths = list(image_paths(folder))
    tables = sorted(path for name in TABLES for path in folder.rglob(name))
    if not tables:
        raise UserError(
            f"data.path={folder} has no {' and no '.join(TABLES)}; data=folder reads a .txt beside each image"
        )
    captions: dict[Path, list[str]] = {}
    skipped: list[str] = []
    for table in tables:
        _read_table(table, folder, config.caption_column, captions, skipped)
    known = set(paths)
    missing = [path for path in captions if path not in known]
    skipped += [f"{path.relative_to(folder).as_posix()}: no such image" for path in missing]
    images = [image_file(path, folder, captions.get(path, [])) for path in paths]
    return found(_by_split(images, skipped))


def _read_table(table: Path, folder: Path, column: str, captions: dict[Path, list[str]], skipped: list[str]) -> None:
    """Add the captions of a table's rows to `captions`, and a message about each faulty row to `skipped`.

    Raises:
        UserError: no row has the two columns.
    """
    name, root = table.relative_to(folder).as_posix(), table.parent.resolve()
    columns: dict[str, None] = {}
    used = False
    for number, row in _rows(table):
        if isinstance(row, str):
            skipped.append(f"{name}:{number}: {row}")
            continue
        columns |= dict.fromkeys(row)
        if not isinstance(row.get("file_name"), str) or column not in row:
            continue
        used = True
        if not (root / row["file_name"]).resolve().is_relative_to(root):
            skipped.append(f"{name}:{number}: {row['file_name']} lies outside of the folder")
            continue
        texts = row[column] if isinstance(row[column], list) else [row[column]]
        lines = [" ".join(text.split()) for text in texts if isinstance(text, str)]
        captions.setdefault(table.parent / PurePosixPath(row["file_name"]), []).extend(filter(None, lines))
    if not used:
        raise UserError(
            f"data.path={folder}: {name} needs the columns file_name and data.caption_column={column}; "
            f"it has {', '.join(columns) or 'no row'}"
        )


def _rows(table: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yield line number and row of a table; in place of a damaged row a message about it."""
    with table.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        if table.suffix == ".csv":
            reader = csv.DictReader(file, restkey="", restval=None)
            for csv_row in reader:
                yield reader.line_num, csv_row
            return
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    row = json.loads(line)
                except ValueError as error:
                    yield number, f"not JSON ({error})"
                else:
                    yield number, row if isinstance(row, dict) else "not a JSON object"


def _by_split(images: list[CaptionedImage], skipped: list[str]) -> Listing:
    """Split the images by the first folder of their path; without such folders return one undivided listing."""
    top = {image.name.partition("/")[0] for image in images if "/" in image.name}
    heldout = next((name for name in HELDOUT if name in top), None)
    if heldout is None or not top.intersection(TRAIN):
        return Listing(images, skipped=skipped)

    def of(*splits: str) -> list[CaptionedImage]:
        return [image for image in images if image.name.partition("/")[0] in splits]

    left_out = [name for name in HELDOUT if name in top and name != heldout]
    skipped = skipped + [f"{name}/: {len(of(name))} images of a second held-out split" for name in left_out]
    return Listing(of(*TRAIN), of(heldout), skipped)
