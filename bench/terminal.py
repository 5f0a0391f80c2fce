"""docs/terminal.svg: what a terminal shows of a training, while it runs and at its end.

    python -m bench.terminal                        # a training of the defaults
    python -m bench.terminal kimg=4 loss=asymmetric

The training runs in a pseudo-terminal, whose screen an emulator keeps.
"""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from itertools import groupby
from pathlib import Path

import pyte
from rich.console import Console
from rich.rule import Rule
from rich.style import Style
from rich.text import Text

WIDTH, HEIGHT = 100, 40
SHOWN_AT = 0.7  # share of the training
OUT = Path("docs/terminal.svg")


def main() -> None:
    """Record and draw."""
    during, after = record(["train.py", *sys.argv[1:]])
    paper = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    paper.print(during)
    paper.print(Rule("at its end"))
    paper.print(after)
    paper.save_svg(str(OUT), title=" ".join(["python train.py", *sys.argv[1:]]))
    print(f"written: {OUT}")


def record(command: list[str]) -> tuple[Text, Text]:
    """The screen during the training and at its end."""
    screen = pyte.Screen(WIDTH, HEIGHT)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    process = subprocess.Popen([sys.executable, *command], stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True,
                               env={**os.environ, "TERM": "xterm-256color"})  # fmt: skip
    os.close(theirs)
    during, before = Text(), []  # before: the lines of that moment
    while True:
        try:
            output = os.read(ours, 1 << 16)
        except OSError:  # the other end is closed
            break
        stream.feed(output)
        if not during and any(f"{SHOWN_AT:.0%}" in line for line in screen.display):
            during, before = picture(screen, 0), list(screen.display)
    if process.wait() != 0:
        sys.exit("\n".join(screen.display).strip())
    same = [line == earlier for line, earlier in zip(screen.display, before, strict=False)]
    return during, picture(screen, same.index(False) if False in same else 0)


def picture(screen: pyte.Screen, start: int) -> Text:
    """What is on the screen from a row on, with its colours."""
    text = Text()
    for row in range(start, HEIGHT):
        cells = [screen.buffer[row][column] for column in range(WIDTH)]
        for (name, bold), alike in groupby(cells, lambda cell: (cell.fg, cell.bold)):
            text.append("".join(cell.data for cell in alike), Style(color=colour(name), bold=bold))
        text.append("\n")
    text.rstrip()
    return text


def colour(name: str) -> str | None:
    """Rich's name of a colour of pyte's."""
    if name == "default":
        return None
    if name.startswith("bright"):
        return f"bright_{name.removeprefix('bright')}"
    return f"#{name}" if len(name) == 6 and set(name) <= set("0123456789abcdef") else name.replace("brown", "yellow")


if __name__ == "__main__":
    main()
