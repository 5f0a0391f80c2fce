"""The account of a listing: each file that is not packed with its reason, and what was done with the others."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter

from clipgan.inputs.data.text import line_about, one_line

NAMED = 100  # other files of one suffix that are listed by name; the rest is counted
NAMED_PLACES = 3  # that look like splits
NO_PICTURE = "a text without an image of its name"
NO_IMAGE = "neither an image that Pillow reads nor captions of one"
LIKE_HELDOUT = "named like held-out images, but packed like all others, as no train/ lies beside a val/ or test/"


class Account:
    """Collects the lines of one listing."""

    def __init__(self, unit: str = "image") -> None:
        """Begin an account; `unit` is what `outside` counts."""
        self._unit = unit
        self._notes: list[str] = []
        self.lost_captions = 0  # captions that are there and cannot be used
        self._skipped: list[str] = []
        self._no_images: list[tuple[int, str]] = []  # number among those of its suffix, line
        self._hidden: list[str] = []
        self._others: Counter[tuple[str, str]] = Counter()  # (suffix, reason) -> number of files of no use
        self._outside: Counter[tuple[str, str]] = Counter()  # (folder, reason) -> number of images
        self._like_heldout: dict[str, None] = {}

    def note(self, sentence: str) -> None:
        """Note what was done with the whole set."""
        self._notes.append(one_line(sentence))

    def like_heldout(self, place: str) -> None:
        """Note a folder or an archive whose name says that its images are held out, and which is no split."""
        self._like_heldout[one_line(place)] = None

    @property
    def notes(self) -> list[str]:
        """Sentences about the whole set."""
        places = list(self._like_heldout)
        if not places:
            return self._notes
        more = len(places) - NAMED_PLACES
        named = ", ".join(places[:NAMED_PLACES]) + f" and {more} more" * (more > 0)
        return [*self._notes, f"{named}: {LIKE_HELDOUT}; data.path=TRAINING data.heldout_path=HELDOUT separates them"]

    def skip(self, name: str, reason: str) -> None:
        """Note a file, or a part of one, that is not used."""
        self._skipped.append(line_about(name, one_line(reason)))

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
        self._others[suffix, reason] += 1
        if self._others[suffix, reason] <= NAMED:
            self._no_images.append((self._others[suffix, reason], line_about(name, reason)))

    def outside(self, folder: str, reason: str) -> None:
        """Count an image (or a shard) in a `folder` where all are left out for one reason."""
        self._outside[folder, reason] += 1

    def faults(self) -> list[str]:
        """Return the lines of `skip` alone: the part that decides what is packed, for a fingerprint.

        Other files may come and go, such as the run directories of a training in the same folder.
        """
        return self._skipped

    def skipped(self) -> list[str]:
        """Return a line for each file that is not packed, or for several of one kind."""
        more = [
            f"{count - NAMED} further files{f' with the suffix {one_line(suffix)}' * bool(suffix)}: {reason}"
            for (suffix, reason), count in self._others.items()
            if count > NAMED
        ]
        outside = [
            line_about(folder, f"{count} {self._unit}{'s' * (count > 1)} {reason}")
            for (folder, reason), count in self._outside.items()
        ]
        hidden = [f"{_first(self._hidden)}: hidden, or a system's own"] if self._hidden else []
        mixed = [line for _, line in sorted(self._no_images, key=itemgetter(0))]  # the first lines show every suffix
        return [*self._skipped, *mixed, *more, *outside, *hidden]


def _first(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def grouped(skipped: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Group the lines of an account by their reasons, the most frequent first: (reason, names with details)."""
    groups: dict[str, list[str]] = {}
    for line in skipped:
        name, _, reason = line.partition('": ' if line.startswith('"') else ": ")
        name += '"' * line.startswith('"')
        kind, opened, detail = reason.partition(" (")
        groups.setdefault(kind, []).append(f"{name} ({detail}" if opened else name)
    return sorted(groups.items(), key=lambda group: -len(group[1]))
