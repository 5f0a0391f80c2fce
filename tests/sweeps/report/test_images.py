"""Pictures of a run directory."""

import base64
import os
from pathlib import Path

from PIL import Image

from sweeps.report.images import MAX_BYTES, newest_picture


def test_the_newest_match_is_inlined(tmp_path: Path) -> None:
    for age, name in enumerate(("samples-2.png", "samples-1.png", "other.png")):
        Image.new("RGB", (2, 2), (age, 0, 0)).save(tmp_path / name)
        os.utime(tmp_path / name, (age, age))
    picture = newest_picture(str(tmp_path), "samples-*.png")
    assert picture.name == "samples-1.png"
    assert picture.uri is not None
    kind, _, data = picture.uri.partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == (tmp_path / "samples-1.png").read_bytes()


def test_why_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "samples-a.txt").write_text("no picture")
    (tmp_path / "large.png").write_bytes(b"0" * (MAX_BYTES + 1))
    notes = [newest_picture(str(tmp_path), pattern).note for pattern in ("x-*.png", "samples-*", "large.png")]
    assert notes == [
        f"no x-*.png in {tmp_path}",
        f"{tmp_path}/samples-a.txt is no picture",
        f"{tmp_path}/large.png is larger than 5 MB: it is not shown here",
    ]
    assert newest_picture("/gone", "*").note == "the run directory is not here: /gone"
    assert newest_picture(None, "*").note == "the run directory is not here: none was noted"
