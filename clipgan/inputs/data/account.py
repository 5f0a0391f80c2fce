"""The account of a listing: each file that is not packed with its reason, and what was done with the others."""

import os
from collections import Counter
from collections.abc import Sequence
from itertools import chain, zip_longest

from clipgan.base.text import counted
from clipgan.inputs.data.text import line_about, one_line

NAMED = 10_000  # files of one kind that are listed by name; the rest is counted
NAMED_PLACES = 3  # that look like splits
NO_PICTURE = "a text without an image of its name"
NO_IMAGE = "neither an image that Pillow reads nor captions of one"
NO_CLASS = "its class has a name that is no text"
NO_CAPTION, NO_FILE, EMPTY = "no caption", "no caption file", "its caption file is empty"
UNREADABLE = "captions cannot be read"
IMAGE_LOST = "captions cannot be read, so the image is left out"
CIRCLE = "a link back to a folder above it, which is not followed"
DANGLING = "a link whose target is missing"
BLOCKED = "a link that cannot be followed"  # with the system's reason
SPECIAL = "a device, a socket or a pipe"
SPECIAL_LINK = "a link to a device, a socket or a pipe"
HIDDEN = "hidden, or a system's own"
MADE_HERE = "a folder of runs, samples, MLflow's artifacts or the cache, which holds no data"
OUTSIDE = "outside of the splits"
SECOND = "of another held-out split, which is not used"
LIKE_HELDOUT = "named like held-out images, but packed like all others, as no train/ lies beside a val/ or test/"


class Account:
    """Collects the lines of one listing."""

    def __init__(self, unit: str = "an image", no_caption: str = NO_CAPTION) -> None:
        """Begin an account.

        Args:
            unit: what `outside` is told of, such as `a shard`.
            no_caption: the reason for an image without captions.
        """
        self._unit, self._no_caption = unit, no_caption
        self._notes: list[str] = []
        self.lost_captions = 0  # captions that are there and cannot be used
        self.empty: set[str] = set()  # names of images whose caption files are empty
        self.links: Counter[str] = Counter()  # `file` or `folder` -> number of links that were followed
        self.second: dict[str, list[str]] = {}  # folder of a held-out split that is not used -> its images
        self._skipped: list[str] = []
        self._others: dict[tuple[str, str], list[str]] = {}  # (suffix, reason) -> files of no use
        self._outside: list[str] = []
        self._hidden: list[str] = []
        self._made_here: list[str] = []
        self._like_heldout: dict[str, None] = {}

    def note(self, sentence: str) -> None:
        """Note what was done with the whole set."""
        self._notes.append(one_line(sentence))

    def like_heldout(self, place: str) -> None:
        """Note a folder or an archive whose name says that its images are held out, and which is no split."""
        self._like_heldout[one_line(place)] = None

    @property
    def notes(self) -> list[str]:
        """Sentences about the whole set, which tell how it is split."""
        places = list(self._like_heldout)
        if not places:
            return self._notes
        more = len(places) - NAMED_PLACES
        named = ", ".join(places[:NAMED_PLACES]) + f" and {more} more" * (more > 0)
        return [*self._notes, f"{named}: {LIKE_HELDOUT}; data.path=TRAINING data.heldout_path=HELDOUT separates them"]

    def remarks(self) -> list[str]:
        """Sentences about what changes no image: which links were followed."""
        links = [f"{count} link{'s' * (count > 1)} to {'' if count > 1 else 'a '}{kind}{'s' * (count > 1)}"
                 for kind, count in sorted(self.links.items()) if count]  # fmt: skip
        return [f"followed: {' and '.join(links)}"] if links else []

    def count(self, number: int) -> str:
        """Return a number with its unit, such as `2 images`."""
        return counted(number, self._unit.split()[-1])

    def why_no_caption(self, name: str) -> str:
        """Return the reason why an image has no caption."""
        return EMPTY if name in self.empty else self._no_caption

    def skip(self, name: str, reason: str) -> None:
        """Note a file, or a part of one, that is not used."""
        self._skipped.append(line_about(name, one_line(reason)))

    def skip_captions(self, name: str, reason: object) -> None:
        """Note captions, or an image with its captions, that are not used because the captions cannot be read."""
        self.lost_captions += 1
        self.skip(name, f"{UNREADABLE} ({reason})")

    def skip_image(self, text: str, image: str, reason: object) -> None:
        """Note an image that is not used because a file of its captions, `text`, cannot be read."""
        self.lost_captions += 1
        why = str(reason).removeprefix(f"{one_line(os.path.basename(text))}: ")
        self.skip(f"{text} of {image}", f"{IMAGE_LOST} ({why})")

    def hide(self, name: str) -> None:
        """Note a hidden file, or one that an operating system keeps for itself."""
        self._hidden.append(name)

    def made_here(self, name: str) -> None:
        """Note a folder that clipgan or MLflow has written. It is no fault: such folders come and go with runs."""
        self._made_here.append(name)

    def other(self, name: str, reason: str = NO_IMAGE) -> None:
        """Note a file of no use to the format."""
        self._others.setdefault((os.path.splitext(name)[1].lower(), reason), []).append(name)

    def outside(self, name: str, second: str | None) -> None:
        """Note an image (or a shard) of no split, or of the held-out split `second`, which is not used."""
        (self._outside if second is None else self.second.setdefault(second, [])).append(name)

    def faults(self) -> list[str]:
        """Return the lines of `skip` alone: the part that decides what is packed, for a fingerprint.

        Other files may come and go, such as the run directories of a training in the same folder.
        """
        return self._skipped

    def skipped(self, used: str | None = None) -> list[str]:
        """Return a line for each file that is not packed; `used` is a key of `second` that is used after all."""
        others = [_lines(names, reason, suffix) for (suffix, reason), names in self._others.items()]
        mixed = [line for row in zip_longest(*others) for line in row if line]  # the first lines show every suffix
        second = [_lines(names, f"{self._unit} {SECOND}") for place, names in self.second.items() if place != used]
        outside = _lines(self._outside, f"{self._unit} {OUTSIDE}")
        written = _lines(self._made_here, MADE_HERE)
        return [*self._skipped, *mixed, *outside, *chain(*second), *written, *_lines(self._hidden, HIDDEN)]


def _lines(names: Sequence[str], reason: str, suffix: str = "") -> list[str]:
    more = len(names) - NAMED
    rest = f"{more} further files{f' with the suffix {one_line(suffix)}' * bool(suffix)}: {reason}"
    return [line_about(name, reason) for name in names[:NAMED]] + [rest] * (more > 0)
