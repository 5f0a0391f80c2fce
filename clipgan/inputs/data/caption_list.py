"""A list of captions in a file: a line is a caption (.txt), or a row of a table with the column `caption` (.csv)."""

import csv
import io
from pathlib import Path

from clipgan.base import lookup
from clipgan.base.errors import UserError
from clipgan.inputs.data.limits import check_caption, check_text_size
from clipgan.inputs.data.text import checked, decode, read_lines

CAPTION = "caption"


def read_caption_list(key: str, path: Path) -> list[str]:
    """Read the captions of a file in UTF-8, unless it begins with another byte order mark.

    Args:
        key: the setting that names the file, for messages.
        path: the file.

    Raises:
        UserError: the file is missing, is not text, has no captions, or a table has no column `caption`.
    """
    if not lookup.is_file(path):
        raise UserError(
            f"{key}={path} {lookup.why_no_file(path)}; give a text file with one caption a line, or a table (.csv)"
        )
    try:
        captions = _of_table(path) if path.suffix.lower() == ".csv" else read_lines(path, "utf-8")
    except (ValueError, csv.Error) as error:
        raise UserError(f"{key}={path} cannot be read: {error}") from error
    if not captions:
        raise UserError(f"{key}={path} has no captions; give one caption a line")
    return captions


def _of_table(path: Path) -> list[str]:
    check_text_size(path.stat().st_size)
    text = checked(decode(path.read_bytes(), "utf-8"), "utf-8")
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if CAPTION not in (rows.fieldnames or ()):
        raise ValueError(f"its first line has no column {CAPTION}, but {', '.join(rows.fieldnames or ()) or 'none'}")
    captions = [" ".join((row[CAPTION] or "").split()) for row in rows]
    if "" in captions:
        raise ValueError(f"row {captions.index('') + 1} has no {CAPTION}")
    return [check_caption(caption) for caption in captions]
