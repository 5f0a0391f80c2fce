"""The progress of a run on the terminal, and its summary."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from rich.console import Console

from clipgan.engine.progress import RunStatus, line, panel, summary, trend
from clipgan.engine.schedule import Schedule

HALF_WAY = RunStatus(  # 8 kimg at batch 16, a snapshot each 2
    name="symmetric h=0.5 tiny",
    run_dir=Path("runs/single/1"),
    schedule=Schedule("kimg", 8, 2, Fraction(16, 1000)),
    key="fid2k_clip_tiny64",
    maximised=False,
    step=250,
    trained=40.0,
    limit=None,
    history=((0, 1.5), (2, 0.6), (4, 0.7)),
    values={"loss/D": 4.07, "loss/G": 17.4, "G/CLIP/it": 2.8, "memory_gb": 1.3, "snapshot_seconds": 5.0},
)
NEW = replace(HALF_WAY, step=0, trained=0.0, history=(), values={})


def drawn(status):
    """The panel's text at 100 columns."""
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(panel(status))
    return console.export_text()


def test_half_way():
    shown = drawn(HALF_WAY)
    assert "symmetric h=0.5 tiny" in shown
    assert "4.0 of 8 kimg" in shown
    assert "50%  10.00 s/kimg  ETA 0:50" in shown  # 40 s of training, snapshots at 6 and 8
    assert "fid2k_clip_tiny64  0.7 at 4 kimg, best 0.6 at 2   █▁▂ worse" in shown
    assert "D 4.07  G 17.4" in shown
    assert "2.8" not in shown  # losses alone, not their terms
    assert "1.30 GB at most" in shown
    assert "runs/single/1" in shown
    assert "Ctrl-C saves a checkpoint and ends" in shown


def test_a_signal_that_has_come():
    shown = drawn(replace(HALF_WAY, signal="SIGINT"))
    assert "SIGINT: this training stops after its step; Ctrl-C: at once" in shown
    assert "saves a checkpoint" not in shown


def test_before_the_first_step():
    shown = drawn(NEW)
    assert "0.0 of 8 kimg" in shown
    assert "0%" in shown
    assert "ETA" not in shown
    assert "fid" not in shown


def test_a_budget_of_seconds():
    """100 seconds: 60 are left, in which 6 kimg more will be shown, with a snapshot each 2."""
    status = replace(HALF_WAY, schedule=Schedule("kimg", 25000, 2, Fraction(16, 1000)), limit=100.0)
    assert status.done() == pytest.approx(0.4)
    assert line(status) == (
        "training symmetric h=0.5 tiny: 4.0 of about 10 kimg, 0:40 of training, 10.00 s/kimg, ETA 1:15"
    )
    assert line(replace(status, step=0, trained=0.0)) == (
        "training symmetric h=0.5 tiny: 0.0 of 25000 kimg, 0:00 of training"
    )


def test_the_schedule_ends_a_run_before_its_time_limit():
    status = replace(HALF_WAY, limit=1000.0)
    assert status.done() == pytest.approx(0.5)
    assert status.left() == pytest.approx(40 + 2 * 5)


@pytest.mark.parametrize(
    ("figures", "maximised", "expected"),
    [
        ([1.5], False, "▁"),
        ([1.5, 0.5], False, "█▁ better"),
        ([0.5, 1.5], True, "▁█ better"),
        ([0.5, 1.5, 1.0], True, "▁█▅ worse"),
        ([0.5, 0.5], False, "▁▁"),
        ([float(figure) for figure in range(100, 0, -1)], False, "█"),
    ],
)
def test_trend(figures, maximised, expected):
    shown = trend(figures, maximised)
    assert shown.startswith(expected)
    assert len(shown.split()[0]) == min(len(figures), 24)


def test_summary():
    further = [("python train.py -m h=0.1,0.5,2", "compare other h in a sweep")]
    assert summary(HALF_WAY, stopped=False, further=further) == [
        "done: symmetric h=0.5 tiny, 4 kimg in 0:40 of training (10.00 s/kimg)",
        "fid2k_clip_tiny64: 1.5 at 0 kimg, 0.7 at 4; best 0.6 at 2",
        "files: runs/single/1",
        "to compare other h in a sweep:",
        "    python train.py -m h=0.1,0.5,2",
    ]
    assert summary(HALF_WAY, stopped=True, further=[])[0].startswith("pruned: symmetric h=0.5 tiny, 4 kimg")
    epochs = replace(HALF_WAY, schedule=replace(HALF_WAY.schedule, unit="epoch"))
    assert "4 epochs in 0:40" in summary(epochs, stopped=False, further=[])[0]
    limited = summary(replace(HALF_WAY, limit=40.0), stopped=False, further=[])[0]
    assert limited.startswith(
        "done: symmetric h=0.5 tiny, 4 kimg of at most 8, as seconds=40 allow, in 0:40 of training"
    )


def test_the_best_of_a_maximised_metric():
    assert replace(HALF_WAY, maximised=True).best == (0, 1.5)
    assert HALF_WAY.best == (2, 0.6)
