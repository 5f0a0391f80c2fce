"""Measure what the comparison of cached files with their checksums costs a start, and the steps of a training.

The entries have MS-COCO's numbers of images and captions, with features of a small CLIP and a small ResNet (1.8 GB in a
temporary folder; the images are zeros). The cost of a start is in seconds of CPU time. The background's cost is the
share of a core that it takes while the main thread sleeps: a step on one core lasts longer by this share.

    python -m bench.cache_check
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.measuring import arguments
from clipgan.base import unread_files
from clipgan.base.cache import cache_entry
from clipgan.base.console import console
from clipgan.base.unread_files import BackgroundCheck
from clipgan.config.command_line import messages_not_tracebacks

IMAGES = {"train": 118_287, "heldout": 5_000}  # of COCO 2017, with 5 captions each
CAPTIONS, LETTERS = 5, 52
RESOLUTION = 64
ENTRIES: dict[str, tuple[int, bool]] = {"clip": (128, True), "resnet": (64, False)}  # width of features, of texts too
STARTS = 5
WATCHED = 30.0  # seconds of the background


@messages_not_tracebacks()
def main() -> None:
    """Make the entries, measure, print."""
    arguments(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        start(root)
        starts = [cpu_seconds(lambda: start(root)) for _ in range(STARTS)]
        unread = sum(path.stat().st_size for path in unread_files._unread)
        console.print(f"start: {statistics.median(starts):.3f} s; {unread / 1e6:.0f} MB are left to the background")
        before = time.perf_counter()
        busy = cpu_seconds(compare_in_background)
        console.print(f"background: {100 * busy / (time.perf_counter() - before):.2f} % of a core")


def start(root: Path) -> None:
    """Use the entries as a start does; make them first if they are missing."""
    cache_entry(root, "data", {"data": "coco"}, write_data, mapped=True)
    for name, (width, texts) in ENTRIES.items():
        write = features_writer(width, texts)
        cache_entry(root, "features", {"encoder": name}, write, mapped=True)


def write_data(folder: Path) -> None:
    """Write files of the sizes of a packed data set."""
    for split, count in IMAGES.items():
        (folder / split).mkdir()
        with (folder / split / "images.npy").open("wb") as file:
            file.truncate(count * 3 * RESOLUTION**2)
        line = '["' + '", "'.join(["a" * LETTERS] * CAPTIONS) + '"]\n'
        (folder / split / "captions.jsonl").write_text(line * count)
        (folder / split / "names.jsonl").write_text('"train2017/000000000009.jpg"\n' * count)


def features_writer(width: int, texts: bool) -> Callable[[Path], None]:
    """Make the function that writes files of the sizes of features in float16."""

    def write(folder: Path) -> None:
        for split, count in IMAGES.items():
            (folder / f"{split}_image.npy").write_bytes(os.urandom(2 * 2 * count * width))
            if texts:
                (folder / f"{split}_text.npy").write_bytes(os.urandom(2 * CAPTIONS * count * width))

    return write


def cpu_seconds(action: Callable[[], None]) -> float:
    """Seconds of CPU time, of all threads, that an action takes."""
    before = time.process_time()
    action()
    return time.process_time() - before


def compare_in_background() -> None:
    """Let the background compare files for a while."""
    with BackgroundCheck():
        time.sleep(WATCHED)


if __name__ == "__main__":
    main()
