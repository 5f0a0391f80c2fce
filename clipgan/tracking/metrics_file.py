"""The file `metrics.jsonl`: a record a line, each with its checksum; a checkpoint has a copy of the lines."""

import json
import re
import time
import zlib
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from clipgan.base.console import console
from clipgan.base.durable_files import flush_file, replace_text

CHECKSUM = "crc32"  # the last key of a line: zlib's CRC-32 of the line without this key, a number
CHECKED_LINE = re.compile(rf'(\{{.*), "{CHECKSUM}": (\d{{1,10}})\}}')


class MetricsFile:
    """The file of one run, which goes on after a resumption."""

    def __init__(self, path: Path, resumed_at: int | None, saved: Sequence[str] | None) -> None:
        """Begin the file, or repair it and drop later records.

        Args:
            path: the file.
            resumed_at: the step at which a resumed run continues; None: a new run.
            saved: the checkpoint's copy of the lines up to this step; None: an earlier version wrote the checkpoint.
        """
        self.path = path
        self.lines = [] if resumed_at is None else self._kept(resumed_at, saved)
        replace_text(path, "".join(f"{line}\n" for line in self.lines))

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records: `step`, `time` and metrics by name."""
        return [record for line in self.lines if (record := parse(line)) is not None]

    def append(self, step: int, values: Mapping[str, float]) -> dict[str, Any]:
        """Write a record to the disk; return it."""
        record = {"step": step, "time": round(time.time(), 3), **values}
        line = with_checksum(json.dumps(record))
        with self.path.open("a") as file:
            file.write(f"{line}\n")
            flush_file(file)  # after a power cut, a later checkpoint must not exist without this record
        self.lines.append(line)
        return record

    def _kept(self, resumed_at: int, saved: Sequence[str] | None) -> list[str]:
        text = self.path.read_bytes().decode(errors="replace") if self.path.exists() else ""
        found = text.removesuffix("\n").split("\n") if text else []  # splitlines() would also split at a damaged end
        if saved is not None:
            pairs = zip_longest(saved, found[: len(saved)])
            if repaired := sum(line != there for line, there in pairs):
                console.print(f"{self.path}: {repaired} lines were damaged or missing: repaired from the checkpoint")
            return list(saved)
        records = [parse(line) for line in found]
        damaged = [number for number, record in enumerate(records[:-1], 1) if record is None]  # a kill cuts the last
        if damaged:
            lines = ", ".join(map(str, damaged[:3]))
            console.print(f"{self.path}: {len(damaged)} damaged lines are left out (line {lines}): this checkpoint of "
                          "an earlier version has no copy")  # fmt: skip
        return [line for line, record in zip(found, records, strict=True) if record and record["step"] <= resumed_at]


def with_checksum(line: str) -> str:
    """Add the checksum to a JSON object in one line."""
    return f'{line[:-1]}, "{CHECKSUM}": {zlib.crc32(line.encode())}}}'


def parse(line: str) -> dict[str, Any] | None:
    """Parse a line; None if it is damaged. A line of an earlier version has no checksum."""
    match = CHECKED_LINE.fullmatch(line)
    if match:
        line = match[1] + "}"
        if str(zlib.crc32(line.encode())) != match[2]:
            return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(record, dict) and all(isinstance(value, int | float) for value in record.values())
    if match is None and whole and any(map(_is_like_the_checksum, record)):
        return None
    return record if whole and isinstance(record.get("step"), int) and "time" in record else None


def _is_like_the_checksum(key: str) -> bool:
    """Whether a key is the checksum's own, in a line that is damaged elsewhere, or has one changed letter.

    A line of an earlier version has no such key.
    """
    return len(key) == len(CHECKSUM) and sum(a != b for a, b in zip(key, CHECKSUM, strict=True)) <= 1
