"""The account of a listing: each file that is not packed with its reason, and what was done with the others."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence

from clipgan.inputs.data.text import one_line

NAMED = 100  # other files of one suffix that are listed by name; the rest is counted
NO_IMAGE = "neither an image nor captions of one"


class Account:
    """Collects the lines of one listing."""

    def __init__(self) -> None:
        self.notes: list[str] = []  # sentences about the whole set
        self.lost_captions = 0  # captions that are there and cannot be used
        self._skipped: list[str] = []
        self._no_images: list[str] = []
        self._hidden: list[str] = []
        self._others: Counter[str] = Counter()  # suffix -> number of files that are not images
        self._outside: Counter[tuple[str, str]] = Counter()  # (folder, reason) -> number of images

    def note(self, sentence: str) -> None:
        """Note what was done with the whole set."""
        self.notes.append(one_line(sentence))

    def skip(self, name: str, reason: str) -> None:
        """Note a file, or a part of one, that is not used."""
        self._skipped.append(f"{one_line(name)}: {one_line(reason)}")

    def skip_captions(self, name: str, reason: object) -> None:
        """Note captions, or an image with its captions, that are not used because the captions cannot be read."""
        self.lost_captions += 1
        self.skip(name, f"captions cannot be read ({reason})")

    def hide(self, name: str) -> None:
        """Note a hidden file, or one that an operating system keeps for itself."""
        self._hidden.append(one_line(name))

    def other(self, name: str, reason: str = NO_IMAGE) -> None:
        """Note a file of no use to the format; of many with one suffix, the first are named and the rest counted."""
        suffix = os.path.splitext(name)[1].lower()
        self._others[suffix] += 1
        if self._others[suffix] <= NAMED:
            self._no_images.append(f"{one_line(name)}: {reason}")

    def outside(self, folder: str, reason: str) -> None:
        """Count an image in a `folder` whose images are all left out for one reason."""
        self._outside[folder, reason] += 1

    def faults(self) -> list[str]:
        """Return the lines of `skip` alone: the part that decides what is packed, for a fingerprint.

        Other files may come and go, such as the run directories of a training in the same folder.
        """
        return self._skipped

    def skipped(self) -> list[str]:
        """Return a line for each file that is not packed, or for several of one kind."""
        more = [
            f"{count - NAMED} further files{f' with the suffix {one_line(suffix)}' * bool(suffix)}: {NO_IMAGE}"
            for suffix, count in self._others.items()
            if count > NAMED
        ]
        outside = [
            f"{one_line(folder)}: {count} image{'s' * (count > 1)} {reason}"
            for (folder, reason), count in self._outside.items()
        ]
        hidden = [f"{_first(self._hidden)}: hidden, or a system's own"] if self._hidden else []
        return [*self._skipped, *self._no_images, *more, *outside, *hidden]


def _first(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def grouped(skipped: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Group the lines of an account by their reasons, the most frequent first: (reason, names with details)."""
    groups: dict[str, list[str]] = {}
    for line in skipped:
        name, _, reason = line.partition(": ")
        kind, opened, detail = reason.partition(" (")
        groups.setdefault(kind, []).append(f"{name} ({detail}" if opened else name)
    return sorted(groups.items(), key=lambda group: -len(group[1]))
