"""The summary of a packed data set: what was packed and how, and what was left out, one line for each fact."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from clipgan.base.console import console
from clipgan.inputs.data import account
from clipgan.inputs.data.pack import PackedData

REASONS = 20  # reasons for leaving out files that are printed
NAMED = 3  # files that are named for each
FURTHER = re.compile(r"(\d+) further files(?: with the suffix (.+))?")  # in place of the names of very many
HEIC = {".heic", ".heif"}
UNITS = {  # reason in skipped.txt -> what the files are: one, several
    account.NO_IMAGE: ("file that is no image Pillow can open", "files that are no images Pillow can open"),
    account.NO_PICTURE: ("text without an image of its name", "texts without an image of their name"),
    account.NO_CLASS: ("image whose class has a name that is no text", "images whose class has a name that is no text"),
    account.NO_CAPTION: ("image without captions", "images without captions"),
    account.NO_FILE: ("image without a caption file", "images without a caption file"),
    account.EMPTY: ("image whose caption file is empty", "images whose caption file is empty"),
    account.IMAGE_LOST: (
        "image is left out, as its captions cannot be read",
        "images are left out, as their captions cannot be read",
    ),
    account.CIRCLE: (account.CIRCLE.removeprefix("a "), "links back to a folder above them, which are not followed"),
    account.DANGLING: (account.DANGLING.removeprefix("a "), "links whose targets are missing"),
    account.MADE_HERE: (
        account.MADE_HERE.removeprefix("a "),
        "folders of runs, samples, MLflow's artifacts or the cache, which hold no data",
    ),
    account.HIDDEN: ("hidden file or folder, or a system's own", "hidden files and folders, or a system's own"),
    "unreadable image": ("unreadable image", "unreadable images"),
    "no such image": ("image that is not there", "images that are not there"),
} | {
    f"{one} {reason}": (f"{one.split()[1]} {reason}", f"{one.split()[1]}s {reason}")
    for one in ("an image", "a shard")
    for reason in (account.OUTSIDE, account.SECOND)
}


def report_files(data: PackedData) -> None:
    """Print what was done with the whole set, and the files that are not packed, by reason."""
    for note in data.notes:
        console.print(f"data: {note}")
    side = data.train.images.shape[-1]
    if data.notes:  # drawn images have none
        console.print(
            "data: images are turned upright (EXIF), converted to RGB (transparent parts white), cropped to the middle "
            f"square and resized to {side} x {side} pixels"
        )
    if data.skipped:
        console.print(f"data: left out, by reason ({data.skipped_file} lists every file):")
        groups = grouped(data.skipped)
        for reason, names in groups[:REASONS]:
            console.print(f"  {_group(reason, names)}")
        if len(groups) > REASONS:
            console.print(f"  and {len(groups) - REASONS} more reasons")
    if data.duplicates:
        leaks = sum(line.startswith("heldout: ") and " repeats train: " in line for line in data.duplicates)
        one = len(data.duplicates) == 1
        console.print(
            f"data: {len(data.duplicates)} packed image{'' if one else 's'} repeat{'s' * one} an earlier one of either "
            f"split, and stay{'s' * one} in; pixels are compared as packed, at {side} x {side}"
            + f"; {leaks} of them held-out, repeating a training image" * (leaks > 0)
            + f" ({data.skipped_file.with_name('duplicates.txt')} lists all): {_first(data.duplicates, '; ')}"
        )


def grouped(skipped: Iterable[str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Group the lines of an account by their reasons, the most frequent first: (reason, names with details)."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for line in skipped:
        name, _, reason = line.partition('": ' if line.startswith('"') else ": ")
        name += '"' * line.startswith('"')
        kind, opened, detail = reason.partition(" (")
        groups.setdefault(kind, []).append((name, f" ({detail}" if opened else ""))
    return sorted(groups.items(), key=lambda group: -_count(name for name, _ in group[1]))


def _group(reason: str, names: Sequence[tuple[str, str]]) -> str:
    """Return the line of one reason; a detail that is the same as the one before it is not repeated."""
    count = _count(name for name, _ in names)
    if reason not in UNITS and count == 1:
        return f"{names[0][0]}{names[0][1]}: {reason}"
    head = f"{count} {UNITS[reason][count > 1]}" if reason in UNITS else f"{count} x {reason}"
    if reason.endswith((account.OUTSIDE, account.SECOND)):
        return f"{head}: {_places([name for name, _ in names])}"
    suffixes = _suffixes(name for name, _ in names) if reason == account.NO_IMAGE else Counter[str]()
    if suffixes:
        head += f" ({', '.join(f'{number} {suffix}' for suffix, number in suffixes.most_common(8))})"
    details = ["", *(detail for _, detail in names)]
    shown = [name + detail * (detail != before) for (name, detail), before in zip(names[:NAMED], details, strict=False)]
    more = count - _count(name for name, _ in names[:NAMED])
    line = f"{head}: {', '.join(shown)}" + f", and {more} more" * (more > 0)
    if heic := sorted(HEIC & suffixes.keys()):
        line += f"; convert {' and '.join(heic)} to .jpg first (ImageMagick: magick mogrify -format jpg FILES)"
    return line


def _count(names: Iterable[str]) -> int:
    return sum(int(further[1]) if (further := FURTHER.fullmatch(name)) else 1 for name in names)


def _suffixes(names: Iterable[str]) -> Counter[str]:
    suffixes = Counter[str]()
    for name in names:
        further = FURTHER.fullmatch(name)
        suffix = (further[2] or "") if further else os.path.splitext(name.strip('"'))[1].lower()
        suffixes[suffix or "without a suffix"] += _count([name])
    return suffixes


def _places(names: Sequence[str]) -> str:
    """Count files by the first folder in which their paths differ."""
    folders = [name.strip('"').split("/")[:-1] for name in names]
    shared = len(os.path.commonprefix(folders))  # noqa: RUF071  # of lists: it compares them part by part
    counts = Counter[str]()
    for name, folder in zip(names, folders, strict=True):
        counts["".join(f"{part}/" for part in folder[: shared + 1])] += _count([name])
    places = [
        f"{count} in {place}" if place else f"{count} at the top of data.path, {_first(_at_top(names))}"
        for place, count in counts.most_common()
    ]
    return _first(places)


def _at_top(names: Sequence[str]) -> list[str]:
    return [name for name in names if "/" not in name]


def _first(items: Sequence[str], separator: str = ", ") -> str:
    return separator.join(items[:NAMED]) + f"{separator}and {len(items) - NAMED} more" * (len(items) > NAMED)
