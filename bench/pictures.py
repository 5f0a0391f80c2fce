"""Make the docs' pictures of a terminal and of MLflow's pages, from trainings of a few minutes.

    python -m bench.pictures                         # terminal and mlflow
    python -m bench.pictures mlflow cache_dir=DIR    # overrides as for train.py

`terminal` makes docs/terminal.svg: a training in a pseudo-terminal, while it runs and at its end. `mlflow` makes the
pictures docs/mlflow-*.png of a sweep; it needs the system's Chromium.
"""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.measuring import arguments

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
WIDTH, HEIGHT = 100, 40  # characters of the terminal
SHOWN_AT = "70%"  # share of the training that is done in the first picture
H = ("0.1", "0.5", "2")
SWEEP = ("loss=symmetric", f"h={','.join(H)}", "kimg=4", "snapshot_kimg=1", "sample_latents=6")
FID = "fjd2k_clip_tiny64"
COLORS = 128  # size of the palette; it keeps a picture under 200 kB


def main() -> None:
    """Make the pictures that the command line names."""
    _, words = arguments(__doc__)
    parts = {"terminal": terminal, "mlflow": mlflow}
    chosen = [word for word in words if word in parts] or list(parts)
    for part in chosen:
        parts[part]([word for word in words if word not in parts])


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
        [sys.executable, "train.py", *overrides], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color"},
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


def mlflow(overrides: list[str]) -> None:
    """Make a sweep in a folder that is deleted afterwards, and take three pictures of its pages."""
    from PIL import Image

    from tests.tracking import mlflow_pages as pages

    chromium = pages.find_chromium()
    if chromium is None:
        sys.exit("there is no Chromium here (Debian: apt install chromium)")
    names = [f"h={h} symmetric" for h in H]

    def sweep(page: pages.Page) -> None:
        pages.toggle_columns(page, "Source", "Models", f"{FID}_best")
        pages.widen_names(page, 150)

    views = {
        "sweep": sweep,
        "compare": lambda page: pages.compare(page, names, FID),
        "samples": lambda page: pages.open_artifact(page, names[1], "samples-000004.png").wait_for(),
    }
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, str(ROOT / "train.py"), "-m", *SWEEP, *overrides], cwd=folder, check=True)
        with pages.serving(Path(folder)) as address:
            for name, go in views.items():
                with pages.browsing(chromium) as page:
                    pages.open_experiment(page, address, "clipgan")
                    page.get_by_role("button", name="Toggle sidebar").click()
                    pages.fold(page, pages.names(page)[0])
                    pages.name_of(page, names[-1]).wait_for()
                    go(page)
                    page.set_viewport_size({"width": 1200, "height": 520})
                    page.mouse.move(0, 0)
                    page.wait_for_timeout(1500)  # wait for the end of animations
                    file = DOCS / f"mlflow-{name}.png"
                    page.screenshot(path=file)
                    Image.open(file).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE).save(file, optimize=True)


if __name__ == "__main__":
    main()
