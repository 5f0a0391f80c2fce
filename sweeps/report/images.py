"""Pictures that a trial left in its run directory, as parts of a page."""

import base64
import mimetypes
from dataclasses import dataclass
from pathlib import Path

MAX_BYTES = 5_000_000  # of one picture; a page must stay one that a browser opens


@dataclass(frozen=True)
class Picture:
    """A picture, or why there is none."""

    name: str
    uri: str | None  # data URI
    note: str | None


def matching(run_dir: str | None, pattern: str) -> list[Path] | None:
    """The files of a run directory that match a glob pattern, the oldest first; None if the directory is not here."""
    folder = None if run_dir is None else Path(run_dir)
    if folder is None or not folder.is_dir():
        return None
    return sorted(folder.glob(pattern), key=lambda path: (_modified(path), path.name))


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # a training that goes on has just removed it
        return 0.0


def newest_picture(run_dir: str | None, pattern: str) -> Picture:
    """The newest file of a run directory that matches a glob pattern."""
    files = matching(run_dir, pattern)
    if files is None:
        return Picture(pattern, None, f"the run directory is not here: {run_dir or 'none was noted'}")
    if not files:
        return Picture(pattern, None, f"no {pattern} in {run_dir}")
    path = files[-1]
    kind = mimetypes.guess_type(path.name)[0] or ""
    if not kind.startswith("image/"):
        return Picture(path.name, None, f"{path} is no picture")
    try:
        if path.stat().st_size > MAX_BYTES:
            return Picture(path.name, None, f"{path} is larger than {MAX_BYTES // 1_000_000} MB: it is not shown here")
        data = base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        return Picture(path.name, None, f"{path} cannot be read ({error.strerror})")
    return Picture(path.name, f"data:{kind};base64,{data}", None)
