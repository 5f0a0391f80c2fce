"""What the page's first screen answers, and the files and pictures that belong to it."""

import base64
import csv
import io
import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from clipgan.base.pictures import draw_grid
from sweeps.report.all_trials import trials_csv
from sweeps.report.page import render
from sweeps.report.settling import settling
from sweeps.report.strips import strip_of
from tests.sweeps.report.studies import Studies, add, grid
from tests.sweeps.report.test_page import text_of


def test_the_first_screen_answers_and_names_what_was_swept(studies: Studies, tmp_path: Path) -> None:
    command = {
        "program": "train.py",
        "fixed": ["kimg=8"],
        "sweep": "python train.py -m h=1,2 kimg=8",
        "best": "use {checkpoint}",
    }
    identity = {"axes": ["h"], "config": {"kimg": 8, "storage": "postgresql://me:secret@host/db"}}
    study = studies.make("s", command=command, identity=identity, about=["loss=symmetric", "shapes"])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint-000002.pt").touch()
    names = {"returned": "fid2k_clip_tiny"}
    add(study, {"h": 1.0}, [2.0], steps={2: 2.0}, run_dir=str(tmp_path / "run"), metric_names=names)
    add(study, {"h": 2.0}, [3.0])
    text = text_of(studies, "s")
    first = text[: text.index("fid2k_clip_tiny against kimg")]
    assert first.startswith(" fid2k_clip_tiny over h: loss=symmetric, shapes (s)")
    assert "Best: h=1 with fid2k_clip_tiny 2 With one seed it is not known whether noise is the reason: h=2" in first
    assert f"To use the best checkpoint, of trial 0 at kimg 2: use {tmp_path}/run/checkpoint-000002.pt" in first
    assert "python train.py -m h=1,2 kimg=8 hydra.sweeper.replicas=3" in first
    assert "extends it: python train.py -m h=1,2 kimg=8" in first
    assert "secret" not in first
    page = render(studies.read("s"), "*", tmp_path / "s.html")
    assert '<a href="s.csv">' in page
    assert '<a href="run/checkpoint-000002.pt">checkpoint-000002.pt</a>' in page


def test_one_row_of_the_grids_over_steps_and_points(studies: Studies, tmp_path: Path) -> None:
    study = studies.make("s")
    for h in (2.0, 1.0):
        folder = tmp_path / str(h)
        folder.mkdir()
        for kimg in range(7):
            sheet = draw_grid(torch.full((4, 3, 64, 64), 10 * kimg, dtype=torch.uint8), ["a circle", "a star"])
            about = PngInfo()
            about.add_text("rows", json.dumps(sheet.info["rows"]))
            sheet.save(folder / f"samples-{kimg:06d}.png", pnginfo=about)
        add(study, {"h": h}, [h], run_dir=str(folder))
    page = render(studies.read("s"), "samples-*.png")
    assert re.findall(r"<tr><td>([^<]*)</td><td><img", page) == ["h=1", "h=2"]  # in the order of the axis
    strip = strip_of(studies.read("s").trials, "samples-*.png")
    assert strip is not None
    assert (strip.title, strip.steps) == ("a circle", (0, 2, 3, 4, 6))
    uri = strip.lines[0][1][-1]
    assert uri is not None
    row = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert (row.size, row.getcolors()) == ((128, 64), [(128 * 64, (60, 60, 60))])
    Image.new("RGB", (8, 8)).save(tmp_path / "1.0" / "samples-000006.png")  # of another tool
    (tmp_path / "2.0" / "samples-000006.png").write_text("damaged")
    strip = strip_of(studies.read("s").trials, "samples-*.png")
    assert strip is not None
    assert [uris[-1] for _, uris in strip.lines] == [None, None]


def test_when_the_order_settled(studies: Studies) -> None:
    study = studies.make("s")
    for h in range(6):
        add(study, {"h": float(h)}, [float(h)], steps={1: float(-h), 2: float(h), 3: float(h), 4: h + 1.0})
    found = settling(studies.read("s"))
    assert [step for step, _, _ in found] == [1, 2, 3, 4]
    assert [value for _, value, _ in found] == pytest.approx([-1, 1, 1, 1])
    assert "When the order settled" in text_of(studies, "s")
    few = studies.make("few")
    for h in range(3):
        add(few, {"h": float(h)}, [float(h)], steps={1: float(h), 2: float(h)})
    assert settling(studies.read("few")) == []


def test_the_interval_of_a_rank_correlation_holds_it(studies: Studies) -> None:
    study = studies.make("s")
    for h, early in enumerate((3.0, 1.0, 2.0, 5.0, 4.0, 6.0)):
        add(study, {"h": float(h)}, [float(h)], steps={1: early, 2: float(h)})
    (_, value, (low, high)), _ = settling(studies.read("s"))
    assert value == pytest.approx(1 - 6 * (4 + 1 + 1 + 1 + 1 + 0) / (6 * 35))  # from the differences of the ranks
    assert low < value < high <= 1


def test_all_trials_as_csv(studies: Studies) -> None:
    study = studies.make("s")
    grid(study)
    add(study, {"loss": "symmetric", "h": 0.1}, [7.0], steps={2: 8.0}, run_dir="/a, b")
    rows = list(csv.DictReader(io.StringIO(trials_csv(studies.read("s")))))
    assert len(rows) == 11  # the earlier attempt too
    assert rows[0].keys() == {
        "trial", "state", "loss", "h", "replica", "objective", "sec_per_kimg", "kimg 2", "kimg 4", "kimg 6", "kimg 8",
        "seconds", "started", "ended", "reason", "run_dir", "command",
    }  # fmt: skip
    last = rows[-1]
    found = [last[name] for name in ("trial", "h", "objective", "kimg 2", "kimg 4", "run_dir")]
    assert found == ["10", "0.1", "7.0", "8.0", "", "/a, b"]
    assert {row["state"] for row in rows} == {"COMPLETE", "FAIL", "PRUNED"}
