"""Writing a packed data set: append images, note the progress, and continue from the note after an interruption.

Rows are written to files, not through a memory map, so that memory does not grow with the number of images.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from clipgan.base.console import console, track
from clipgan.base.durable_files import flush_file, replace_text
from clipgan.base.errors import UserError
from clipgan.base.text import counted, first_line
from clipgan.inputs.data.pack import SPLITS, Contents, Record, Source, read_lines

CHUNK = 500  # images between two notes of the progress
DIGESTS = "digests.u64"  # hashes of the pixels, which find duplicates


def write_pack(directory: Path, source: Source, resolution: int) -> None:
    """Pack both splits of `source` into `directory`; continue what an interrupted call left there.

    Raises:
        UserError: a split has no usable image.
    """
    contents = source.open()
    skipped = list(contents.skipped)
    for split in SPLITS:
        writer = SplitWriter(directory / split, resolution)
        writer.write(contents, split)
        unreadable = writer.lines("skipped.txt")
        if writer.rows == 0:
            reasons = "; ".join([*unreadable, *skipped][:3]) or "it is empty"
            raise UserError(
                f"no usable image for the {split} split of data={source.description['name']}: {reasons}; "
                f"{contents.remedy}"
            )
        skipped += unreadable
        if split in contents.extras:
            contents.extras[split](writer.directory, [json.loads(line) for line in writer.lines("names.jsonl")])
    _write_lines(directory / "skipped.txt", skipped)
    counts = [_counts(directory)] if contents.notes else []  # drawn images need no account
    _write_lines(directory / "notes.txt", [*counts, *contents.notes])
    _write_lines(directory / "duplicates.txt", _duplicates(directory))


class SplitWriter:
    """The growing files of one split, and a note of each file's length at a moment when all of them agreed."""

    NAMES = ("images.npy", "captions.jsonl", "names.jsonl", "skipped.txt", DIGESTS)

    def __init__(self, directory: Path, resolution: int) -> None:
        """Open `directory` (created if missing) and cut each file to the length in the last note."""
        self.directory, self.resolution = directory, resolution
        self.note = directory / "progress.json"
        directory.mkdir(exist_ok=True)
        self.done, self.rows, lengths = self._noted()  # images seen, images kept, bytes of each file
        self.files: dict[str, IO[bytes]] = {}
        for name in self.NAMES:
            path = directory / name
            path.touch()
            os.truncate(path, lengths.get(name, 0))  # rows after the note are written again
            self.files[name] = path.open("r+b")
            self.files[name].seek(0, os.SEEK_END)
        if not lengths:
            self._write_header()

    def _noted(self) -> tuple[int, int, dict[str, int]]:
        """Read the last note; (0, 0, {}) if there is none, or if a file is shorter than the note says."""
        if not self.note.exists():
            return 0, 0, {}
        try:
            done, rows, lengths = json.loads(self.note.read_text())
            short = [name for name in self.NAMES if (self.directory / name).stat().st_size < lengths[name]]
            if not short:
                return int(done), int(rows), lengths
            reason = f"{short[0]} is too short"
        except (OSError, ValueError, TypeError, KeyError) as error:
            reason = first_line(error)
        console.print(f"cache: {self.note} is damaged ({reason}): packing begins anew")
        return 0, 0, {}

    def write(self, contents: Contents, split: str) -> None:
        """Append the missing images of `split` and finish the files."""
        total = contents.sizes[split]
        items = contents.read(split, self.resolution, self.done)
        for item in track(items, f"packing {split} images", total, done=self.done):
            self._append(item)
            if self.done % CHUNK == 0:
                self._save()
        self.files["images.npy"].seek(0)
        self._write_header()
        self._save()
        for file in self.files.values():
            file.close()

    def lines(self, name: str) -> list[str]:
        """Return the lines of a finished file."""
        return read_lines(self.directory / name)

    def _append(self, item: Record | str) -> None:
        self.done += 1
        if isinstance(item, str):
            self.files["skipped.txt"].write(f"{item}\n".encode())
            return
        self.rows += 1
        pixels = np.ascontiguousarray(item.image.transpose(2, 0, 1)).tobytes()
        self.files["images.npy"].write(pixels)
        self.files["captions.jsonl"].write((json.dumps(item.captions, ensure_ascii=False) + "\n").encode())
        self.files["names.jsonl"].write((json.dumps(item.name, ensure_ascii=False) + "\n").encode())
        self.files[DIGESTS].write(hashlib.blake2b(pixels, digest_size=8).digest())

    def _write_header(self) -> None:
        """Write numpy's header; it reserves room for the number of rows, so a rewrite has the same length."""
        shape = (self.rows, 3, self.resolution, self.resolution)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.files["images.npy"], header)

    def _save(self) -> None:
        for file in self.files.values():
            flush_file(file)
        lengths = {name: os.fstat(file.fileno()).st_size for name, file in self.files.items()}
        replace_text(self.note, json.dumps([self.done, self.rows, lengths]))


def _counts(directory: Path) -> str:
    """Say how many images and captions are packed."""
    words = []
    for split, kind in zip(SPLITS, ("training", "held-out"), strict=True):
        with (directory / split / "captions.jsonl").open(encoding="utf-8") as lines:
            counts = [len(json.loads(line)) for line in lines]
        images, captions = len(counts), sum(counts)
        with_captions = counted(captions, "caption") if captions else "no captions"
        words.append(f"{counted(images, f'{kind} image')} with {with_captions}")
    return f"packed are {' and '.join(words)}"


def _duplicates(directory: Path) -> Iterator[str]:
    """Yield `heldout: b.png repeats train: a.png` for each image with the same pixels as an earlier image."""
    digests = [np.fromfile(directory / split / DIGESTS, dtype=np.uint64) for split in SPLITS]
    values, counts = np.unique(np.concatenate(digests), return_counts=True)
    repeated = set(values[counts > 1].tolist())
    if not repeated:
        return
    first: dict[int, str] = {}
    for split, of_split in zip(SPLITS, digests, strict=True):
        with (directory / split / "names.jsonl").open(encoding="utf-8") as names:
            for digest, line in zip(of_split.tolist(), names, strict=True):
                name = json.loads(line)
                if name and digest in repeated:
                    place = f"{split}: {name}"
                    if digest in first:
                        yield f"{place} repeats {first[digest]}"
                    first.setdefault(digest, place)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
