"""Reading text: bytes become captions by a byte order mark or `data.encoding`; what is no text is refused, not guessed.

Bytes that the encoding does not have become lone surrogates (Python's `surrogateescape`), and JSON may spell lone
surrogates itself. No text has them, so `checked` finds both in the one item that they spoil.
"""

import codecs
import re
from pathlib import Path

from clipgan.inputs.data.limits import check_caption, check_text_size

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before utf-16, whose mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
NEWLINE = re.compile(r"\r\n|\n|\r")  # str.splitlines would also cut at U+2028, U+0085 and form feeds
NO_TEXT = re.compile("[\ud800-\udfff\0]")


def codec_of(start: bytes, encoding: str) -> str:
    """Return the codec of the byte order mark at the `start` of a file, else `encoding`."""
    return next((codec for mark, codec in MARKS if start.startswith(mark)), encoding)


def decode(data: bytes, encoding: str) -> str:
    """Decode a file's bytes; use `checked` on the parts of the result.

    Raises:
        ValueError: the bytes are not in the encoding at all (UTF-16 of an odd length).
    """
    codec = codec_of(data, encoding)
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        return data.decode(codec, "surrogateescape")


def checked(text: str, encoding: str) -> str:
    """Return `text` unchanged.

    Raises:
        ValueError: a part of it is no text; the message says why, and which setting may help.
    """
    fault = NO_TEXT.search(text)
    if fault is None:
        return text
    code = ord(fault[0])
    if code == 0:
        raise ValueError("it has NUL characters; UTF-16 without a byte order mark needs data.encoding=utf-16-le")
    if 0xDC80 <= code <= 0xDCFF:  # a byte that the decoder could not use
        raise ValueError(
            f"byte 0x{code - 0xDC00:02x} is not {encoding}; data.encoding=latin-1, for example, reads all texts so"
        )
    raise ValueError(f"it has half a character, the lone surrogate \\u{code:04x}")


def lines(text: str) -> list[str]:
    """Return the non-empty lines of a text, stripped.

    Raises:
        ValueError: a line is too long for a caption.
    """
    return [check_caption(stripped) for line in NEWLINE.split(text) if (stripped := line.strip())]


def read_lines(path: Path, encoding: str) -> list[str]:
    """Read the non-empty lines of a text file, stripped.

    Raises:
        ValueError: the file is no text in this encoding; the message quotes its name.
        OSError: the file cannot be read.
    """
    try:
        check_text_size(path.stat().st_size)
        return lines(checked(decode(path.read_bytes(), encoding), encoding))
    except ValueError as error:
        raise ValueError(f"{one_line(path.name)}: {error}") from error


def read_captions(path: Path, encoding: str) -> list[str]:
    """Read the captions of an image, one a line, from a text file.

    Raises:
        ValueError: the file cannot be read, or is no text in this encoding.
    """
    try:
        return read_lines(path, encoding)
    except OSError as error:
        raise ValueError(f"{one_line(path.name)}: {error.strerror}") from error


def one_caption(text: str) -> str:
    """Return a text as a single caption: each run of whitespace, such as a newline, becomes a space.

    Raises:
        ValueError: the caption is too long.
    """
    return check_caption(" ".join(text.split()))


def one_line(name: str) -> str:
    """Return a file's name in one line of valid text: what cannot be printed is escaped, such as `\\udce9`."""
    if name.isprintable():
        return name
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in name)


def line_about(name: str, reason: str) -> str:
    """Return a line that says why a file is left out; a name with a colon is in quotes."""
    name = one_line(name)
    return f'"{name}": {reason}' if ": " in name else f"{name}: {reason}"
