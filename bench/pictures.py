"""Make the docs' pictures of a terminal, of MLflow's pages and of a report, from trainings of a few minutes.

    python -m bench.pictures                         # all of them
    python -m bench.pictures mlflow cache_dir=DIR    # overrides as for train.py
    python -m bench.pictures report mlflow folder=.  # of the demo that has run in this folder, without training

`terminal` makes docs/terminal.svg: a training in a pseudo-terminal, while it runs and at its end. `mlflow` and `report`
make the pictures docs/mlflow-*.png and docs/report.png of the demo's sweep; they need the system's Chromium.
"""

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.measuring import arguments
from clipgan.config.command_line import messages_not_tracebacks
from tests.tracking import mlflow_pages as pages

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
WIDTH, HEIGHT = 100, 40  # characters of the terminal
SHOWN_AT = "70%"  # share of the training that is done in the first picture
H = ("0.1", "0.5", "2")
SWEEP = ("loss=symmetric", f"h={','.join(H)}")
METRIC = "fjd2k_clip_tiny64"
COLORS = 128  # size of the palette; it keeps a picture under 200 kB


@messages_not_tracebacks()
def main() -> None:
    """Make the pictures that the command line names."""
    _, words = arguments(__doc__)
    parts = {"terminal": terminal, "mlflow": mlflow, "report": report}
    chosen = [word for word in words if word in parts] or list(parts)
    folders = [word.partition("=")[2] for word in words if word.startswith("folder=")]
    overrides = [word for word in words if word not in parts and not word.startswith("folder=")]
    if "terminal" in chosen:
        terminal(overrides)
    if of_sweep := [parts[part] for part in chosen if part != "terminal"]:
        with _swept(overrides, folders) as folder:
            for picture in of_sweep:
                picture(folder)


def terminal(overrides: list[str]) -> None:
    """Run a training in a pseudo-terminal, and draw its screen twice."""
    import pyte
    from rich.console import Console
    from rich.rule import Rule
    from rich.text import Text

    screen = pyte.Screen(WIDTH, HEIGHT)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    training = subprocess.Popen(
        ["python", "train.py", *overrides], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    os.close(theirs)
    during, before = Text(), []
    while True:
        try:
            output = os.read(ours, 1 << 16)
        except OSError:  # the training has closed the terminal
            break
        stream.feed(output)
        if not before and any(SHOWN_AT in line for line in screen.display):
            during, before = _drawn(screen), list(screen.display)
    if training.wait() != 0:
        sys.exit("\n".join(screen.display).strip())
    same = [line == earlier for line, earlier in zip(screen.display, before, strict=False)]
    paper = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    for part in (during, Rule("at its end"), _drawn(screen, same.index(False) if False in same else 0)):
        paper.print(part)
    paper.save_svg(str(DOCS / "terminal.svg"), title=" ".join(["python train.py", *overrides]))


def _drawn(screen: Any, start: int = 0) -> Any:
    """Draw the screen from a row on, with its colours."""
    from rich.style import Style
    from rich.text import Text

    text = Text()
    for row in range(start, HEIGHT):
        cells = [screen.buffer[row][column] for column in range(WIDTH)]
        for (name, bold), alike in groupby(cells, lambda cell: (cell.fg, cell.bold)):
            colour = name.replace("bright", "bright_").replace("brown", "yellow")  # pyte's name -> Rich's
            if len(name) == 6 and set(name) <= set("0123456789abcdef"):
                colour = f"#{name}"
            style = Style(color=None if name == "default" else colour, bold=bold)
            text.append("".join(cell.data for cell in alike), style)
        text.append("\n")
    text.rstrip()
    return text


@contextmanager
def _swept(overrides: list[str], folders: list[str]) -> Iterator[Path]:
    """The folder of the demo's sweep: the last of those that are named, or a new one, which is deleted afterwards."""
    if folders:
        yield Path(folders[-1])
        return
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, str(ROOT / "train.py"), "-m", *SWEEP, *overrides], cwd=folder, check=True)
        yield Path(folder)


def mlflow(folder: Path) -> None:
    """Take three pictures of MLflow's pages of the sweep in this folder."""
    names = [f"h={h} symmetric" for h in H]

    def sweep(page: pages.Page) -> None:
        pages.toggle_columns(page, "Source", "Models", "Dataset", f"{METRIC}_best")
        pages.widen(page, "Run Name", 250)
        pages.widen(page, f"{METRIC}_best", 80)

    def samples(page: pages.Page) -> None:
        pages.open_artifact(page, names[1], "samples-000024.png").wait_for()
        page.get_by_text("Path: ").last.evaluate("line => line.style.visibility = 'hidden'")  # of this machine

    views = {
        "sweep": sweep,
        "compare": lambda page: pages.compare(page, names, METRIC),
        "samples": samples,
    }
    with pages.serving(folder) as address:
        for name, go in views.items():
            with pages.browsing(_chromium()) as page:
                pages.open_experiment(page, address, "clipgan")
                page.get_by_role("button", name="Toggle sidebar").click()
                pages.fold(page, pages.names(page)[0])
                pages.name_of(page, names[-1]).wait_for()
                go(page)
                page.set_viewport_size({"width": 1200, "height": 520})
                page.mouse.move(0, 0)
                page.wait_for_timeout(1500)  # wait for the end of animations
                _save(page.screenshot(), f"mlflow-{name}.png")


def report(folder: Path) -> None:
    """Take a picture of the curves in the sweep's report."""
    with tempfile.TemporaryDirectory() as out:
        file = Path(out, "report.html")
        command = [sys.executable, "-m", "sweeps.report", "--out", str(file)]
        subprocess.run(command, cwd=folder, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
        with pages.browsing(_chromium()) as page:
            page.set_viewport_size({"width": 1100, "height": 1000})
            page.goto(file.as_uri())
            curves = page.locator("#curves")
            curves.locator(".js-line").first.wait_for(state="attached")
            _save(curves.screenshot(), "report.png")


def _chromium() -> str:
    found = pages.find_chromium()
    if found is None:
        sys.exit("there is no Chromium here (Debian: apt install chromium)")
    return found


def _save(picture: bytes, name: str) -> None:
    """Write a screenshot into docs/, with so few colours that the file is small."""
    from PIL import Image

    image = Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    image.save(DOCS / name, optimize=True)


if __name__ == "__main__":
    main()
