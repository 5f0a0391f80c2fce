"""The docs' pictures of MLflow's pages: a sweep of a few minutes, then what its pages show.

make screenshots
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from bench import mlflow_pages as pages

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
H = ("0.1", "0.5", "2")
WINDOW: pages.ViewportSize = {"width": 1200, "height": 520}  # pixels of a picture
COLORS = 128  # of the palette; keeps a picture under 200 kB
SWEEP = ("loss=symmetric", f"h={','.join(H)}", "kimg=4", "snapshot_kimg=1", "sample_latents=6")
FID = "fid2k_clip_tiny"
NAMES = [f"symmetric h={h} tiny" for h in H]


def main(overrides: list[str]) -> None:
    """Make the sweep in a folder that is deleted afterwards, and the three pictures in docs/."""
    chromium = pages.find_chromium()
    if chromium is None:
        sys.exit("there is no Chromium here (Debian: apt install chromium)")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "train.py"), "-m", *SWEEP, *overrides]
        subprocess.run(command, cwd=folder, check=True)
        with pages.serving(Path(folder)) as address:
            _take_pictures(address, chromium)


def _take_pictures(address: str, chromium: str) -> None:
    for take in (_sweep, _compare, _samples):
        with pages.browsing(chromium) as page:
            pages.open_experiment(page, address, "clipgan")
            page.get_by_role("button", name="Toggle sidebar").click()
            [parent] = pages.names(page)
            pages.fold(page, parent)
            pages.name_of(page, NAMES[-1]).wait_for()
            take(page)


def _sweep(page: pages.Page) -> None:
    pages.toggle_columns(page, "Source", "Models", f"{FID}_best")
    pages.widen_names(page, 150)
    _save(page, "mlflow-sweep")


def _compare(page: pages.Page) -> None:
    pages.compare(page, NAMES, FID)
    _save(page, "mlflow-compare")


def _samples(page: pages.Page) -> None:
    pages.open_artifact(page, NAMES[1], "samples-000004.png").wait_for()
    _save(page, "mlflow-samples")


def _save(page: pages.Page, name: str) -> None:
    page.set_viewport_size(WINDOW)
    page.mouse.move(0, 0)
    page.wait_for_timeout(1500)  # what moves comes to rest
    path = DOCS / f"{name}.png"
    page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
