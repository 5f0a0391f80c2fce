"""Reading tables of captions, JSON, JSON lines and CSV: a faulty row is one message, and spoils no other row."""

import codecs
import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ijson

from clipgan.base.text import counted
from clipgan.inputs.data.images import has_image_suffix
from clipgan.inputs.data.limits import check_json, check_table_size
from clipgan.inputs.data.text import NEWLINE, codec_of, decode

DELIMITERS = ",;\t|"
PIECE = 1 << 24  # bytes of JSON that are looked at at a time
HEX = r"[0-9a-fA-F]{2}"
HALF = re.compile(rf"\\u[dD][89abAB]{HEX}(?!\\u[dD][c-fC-F]{HEX})|(?<!\\u[dD][89abAB]{HEX})\\u[dD][c-fC-F]{HEX}")
LARGEST_FIELD = 1 << 27  # characters; csv's own limit is 131,072

Row = dict[str, Any] | str  # a row, or a message about a damaged one


def json_rows(text: str) -> Iterator[tuple[int, Row]]:
    """Yield line number and row of each line of JSON."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, f"not JSON ({error})"
            else:
                yield number, row if isinstance(row, dict) else "not a JSON object"


def open_json(path: Path, encoding: str) -> Callable[[str], Iterator[Any]]:
    """Return a function that yields the items of one of the lists in a JSON file, such as `images`.

    A file in UTF-8 is read as a stream, which needs less memory than the whole file. Another encoding, and halves of
    characters (which the stream would turn into question marks), need the whole file.

    Raises:
        ValueError: the file is not JSON in this encoding.
    """
    with path.open("rb") as file:
        check_json(file)
    if not _is_plain(path, encoding):
        check_table_size(path.stat().st_size)
        whole = json.loads(decode(path.read_bytes(), encoding))
        lists = whole if isinstance(whole, dict) else {}
        return lambda key: iter(found if isinstance(found := lists.get(key), list) else ())

    def stream(key: str) -> Iterator[Any]:
        with path.open("rb") as file:
            yield from ijson.items(file, f"{key}.item")

    return stream


def _is_plain(path: Path, encoding: str) -> bool:
    """Whether a file is in UTF-8 without a byte order mark, and spells no half of a character."""
    decoder, end = codecs.getincrementaldecoder("utf-8")(), ""
    with path.open("rb") as file:
        if codec_of(file.peek(4)[:4], encoding).lower() not in ("utf-8", "utf8"):
            return False
        while piece := file.read(PIECE):
            try:
                text = end + decoder.decode(piece)
            except UnicodeDecodeError:
                return False
            if HALF.search(text):
                return False
            end = text[-5:]  # one of a pair that is cut in two here counts as a half: the answer is then a careful one
    return True


def csv_rows(text: str, file: str, caption: str, note: Callable[[str], None]) -> Iterator[tuple[int, Row]]:
    """Yield line number and row of a CSV; its delimiter is the one that separates the two columns in the header.

    A row with commas too many is refused, except in a table of the two columns alone: there they are the caption's.
    Empty fields beyond the header's are left out: spreadsheets write them.

    Args:
        text: the table.
        file: the column of file names.
        caption: the column of captions.
        note: is called with a sentence if captions had commas without quotes.
    """
    lines = [f"{line}\n" for line in NEWLINE.split(text)]
    first = next((line for line in lines if line.strip()), "")
    headers = {each: {*_header(first, each)} for each in DELIMITERS}
    whole = [each for each, columns in headers.items() if {file, caption} <= columns]
    partly = [each for each, columns in headers.items() if {file, caption} & columns]  # to name the columns that it has
    delimiter = [*whole, *partly, ","][0]
    spaced = f"{delimiter} " in first  # as in `file_name, text`: a space before a quote is then no part of a field
    rows = _records(lines, delimiter, spaced)
    _, fields = next(((number, fields) for number, fields in rows if fields), (0, ""))
    if isinstance(fields, str):
        return
    header, joined = [field.strip() for field in fields], 0
    needed = 1 + max((header.index(name) for name in (file, caption) if name in header), default=0)  # fields of a row
    if header.count(caption) > 1:
        note(f"of {header.count(caption)} columns with the name {caption}, the first one is read")
        header = [
            name if name != caption or place == header.index(caption) else "" for place, name in enumerate(header)
        ]
    for number, fields in rows:
        if isinstance(fields, str):
            yield number, fields
            continue
        while len(fields) > len(header) and not fields[-1].strip():
            fields.pop()
        if len(fields) > len(header) and header != [file, caption]:
            yield number, f"it has {len(fields)} fields, the header {len(header)}: put fields with commas into quotes"
        elif fields and len(fields) < needed:
            yield number, f"it has {counted(len(fields), 'field')}, the header {len(header)}"
        elif fields:
            joined += len(fields) > len(header)
            whole = [*fields[: len(header) - 1], delimiter.join(fields[len(header) - 1 :])]
            yield number, dict(zip(header, whole, strict=False))
    if joined:
        which = counted(joined, "row")
        note(f"the captions of {which} have commas without quotes, which are taken as parts of the captions")


def _header(line: str, delimiter: str) -> list[str]:
    return [field.strip() for field in next(csv.reader([line], delimiter=delimiter), [])]


def _records(lines: list[str], delimiter: str, spaced: bool) -> Iterator[tuple[int, list[str] | str]]:
    """Yield number of the first line and fields of each record; after a damaged one go on with the next line."""
    csv.field_size_limit(LARGEST_FIELD)
    start = 0
    while start < len(lines):
        rest = (lines[k] for k in range(start, len(lines)))
        reader = csv.reader(rest, delimiter=delimiter, skipinitialspace=spaced, strict=True)
        first = start
        try:
            for fields in reader:
                last = start + reader.line_num
                if any(has_image_suffix(line.partition(delimiter)[0].strip('" ')) for line in lines[first + 1 : last]):
                    raise csv.Error("its quoted field goes on over lines that begin with file names")
                yield first + 1, fields
                first = last
            return
        except csv.Error as error:
            yield first + 1, f"not a row of CSV; is a quote missing? ({error})"
            start = first + 1


def texts_of(row: dict[str, Any], column: str) -> list[str] | None:
    """Return the captions in a row's column, which in JSON may be a list; `text.en` is `en` in the object `text`.

    None if the row lacks the column.

    Raises:
        ValueError: they are no strings; the message says what they are.
    """
    value: Any = row
    for part in [column] if column in row else column.split("."):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict):
            keys = ", ".join(each)
            raise ValueError(f"{column} is an object with the keys {keys}; data.caption_column={column}.KEY reads one")
        if not isinstance(each, str | None):
            raise ValueError(f"{column} is {json.dumps(each, default=str)[:40]}, which is no string")
    return [text for text in (value if isinstance(value, list) else [value]) if text]
