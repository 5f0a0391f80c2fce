"""What a part is told, and what it has found: a process writes each finding at once, so that a limit loses only one."""

import json
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SMALL = (  # in place of real sizes, to try the parts on a CPU
    "model=tiny", "model.channel_base=64", "model.channel_max=16", "resolution=16", "batch=8", "data.n_train=96",
    "data.n_heldout=32", "clip.train.steps=2", "clip.train.batch=8", "clip.train.min_attribute_accuracy=0",
    "resnet.train.steps=2", "resnet.train.batch=8", "metrics.judge.train.steps=2", "metrics.judge.train.batch=8",
    "metrics.judge.train.min_attribute_accuracy=0", "metrics.n_images=32",
)  # fmt: skip
REPLACED = ("model", "resolution", "batch", "clip", "resnet")  # what `SMALL` chooses, or leaves at its default


@dataclass(frozen=True)
class Setting:
    """What a part is told."""

    device: str  # as in the configuration
    small: bool  # shrunken sizes, to try a part
    cache_dir: str | None  # as in the configuration
    folder: Path  # for files of this part
    deadline: float  # seconds of `time.monotonic`

    def left(self) -> float:
        """Return the seconds until the part's limit."""
        return self.deadline - time.monotonic()

    def overrides(self, *given: str) -> list[str]:
        """Return overrides for train.py, shrunken if asked for."""
        common = [f"device={self.device}", "mlflow.tracking_uri=null"]
        common += [f"cache_dir={self.cache_dir}"] if self.cache_dir else []
        if not self.small:
            return [*common, *given]
        kept = [word for word in given if word.partition("=")[0] not in REPLACED]
        judged = any(word.startswith("metrics=") for word in given)
        small = [word for word in SMALL if not (judged and word.startswith("metrics."))]
        names = {word.partition("=")[0] for word in kept}
        return [*common, *(word for word in small if word.partition("=")[0] not in names), *kept]

    def within(self, names: Iterable[str], found: "Findings", first: float) -> Iterator[str]:
        """Yield names of rows while there is time for another one; the others are left out.

        Args:
            names: of the rows.
            found: where it says so.
            first: seconds that the first row needs; another one needs half as long again as the longest one before.
        """
        longest = 0.0
        for name in names:
            if self.left() < (1.5 * longest or first):
                found.put(name, "left out: no time")
                continue
            begin = time.monotonic()
            yield name
            longest = max(longest, time.monotonic() - begin)

    def count(self, real: int, small: int = 1) -> int:
        """Return a number of repeats or images."""
        return small if self.small else real


@dataclass
class Findings:
    """The findings of a part, by name; each is a line of a file."""

    file: Path
    failed: list[str] = field(default_factory=list)

    def put(self, name: str, value: Any) -> None:
        """Add a finding: plain JSON values."""
        with self.file.open("a") as file:
            file.write(json.dumps([name, value]) + "\n")

    @contextmanager
    def attempt(self, name: str) -> Iterator[None]:
        """Record an error of the block under its name; the part goes on."""
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            said = str(error).strip().splitlines()
            self.failed.append(name)
            self.put(f"error: {name}", f"{type(error).__name__}: {said[0] if said else ''}"[:300])

    def check(self, name: str, good: bool, value: Any) -> None:
        """Add a finding that has an expected value; another one fails the part."""
        self.put(name, {"ok": bool(good), "found": value})
        if not good:
            self.failed.append(name)


Compute = Callable[[Setting, Findings], None]


def read(file: Path) -> dict[str, Any]:
    """Read a part's findings; a line that a kill cut off is left out."""
    found: dict[str, Any] = {}
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            name, value = json.loads(line)
        except ValueError:
            continue
        found[name] = value
    return found
