"""A strip of pictures: one row of the sample grids, over the steps and over the points.

A job writes `samples-STEP.png`, with the boxes of its rows in the PNG's text `rows`: a JSON list of objects with `box`
(left, top, right, bottom in pixels) and `title`.
"""

import base64
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from sweeps.base.even_choice import evenly
from sweeps.points.trial_record import TrialRecord

ROWS = "rows"  # key of the PNG's text
MAX_STEPS, MAX_TRIALS = 5, 8
MAX_WIDTH = 256  # pixels of one row that are shown


@dataclass(frozen=True)
class Strip:
    """The same row of several trials' grids."""

    title: str
    steps: tuple[int, ...]
    lines: tuple[tuple[str, tuple[str | None, ...]], ...]  # a trial's text, and a data URI for each step


def strip_of(trials: Sequence[TrialRecord], pattern: str) -> Strip | None:
    """The first row of each trial's pictures; None if they do not say where their rows are.

    Args:
        trials: in the order of the lines; of many, an even choice is shown.
        pattern: glob pattern of the pictures in a run directory.
    """
    found = [(trial, _pictures(trial.run_dir, pattern)) for trial in evenly(trials, MAX_TRIALS)]
    steps = evenly(sorted({step for _, files in found for step in files}), MAX_STEPS)
    title, lines = None, []
    for trial, files in found:
        rows = [_first_row(files[step]) if step in files else None for step in steps]
        title = title or next((row[0] for row in rows if row), None)
        lines.append((named(trial), tuple(row[1] if row else None for row in rows)))
    return None if title is None else Strip(title, tuple(steps), tuple(lines))


def named(trial: TrialRecord) -> str:
    """A trial's point, and its replica if it is not the first: a picture depends on the seed."""
    return f"{trial}, replica {trial.replica}" if trial.replica else f"{trial}"


def _pictures(run_dir: str | None, pattern: str) -> dict[int, Path]:
    files = sorted(Path(run_dir).glob(pattern)) if run_dir is not None else []
    numbered = ((re.search(r"(\d+)$", path.stem), path) for path in files)
    return {int(number[1]): path for number, path in numbered if number}


def _first_row(path: Path) -> tuple[str, str] | None:
    """The title of a picture's first row, and the row as a data URI."""
    try:
        with Image.open(path) as image:
            first = json.loads(image.info[ROWS])[0]
            left, top, right, bottom = map(int, first["box"])
            row = image.convert("RGB").crop((left, top, min(right, left + MAX_WIDTH), bottom))
    except (OSError, UnidentifiedImageError, KeyError, ValueError, TypeError, IndexError):  # another tool's picture
        return None
    file = io.BytesIO()
    row.save(file, "PNG")
    return str(first["title"]), f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
