"""The display of a running sweep."""

import io
import os
import pty
import signal
import sys
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from rich.console import Console

from sweeps.display.progress import MAX_ENDED, Durations, EventLines, LiveTable, queueing_bar
from sweeps.points.ranking import Goal
from sweeps.points.search_space import Point
from sweeps.points.trial_record import TrialRecord
from sweeps.search.plan import Grid, Plan
from tests import warm
from tests.sweeps.sweep_app import APP, REPOSITORY, App

START = datetime(2026, 1, 1, 12, 0, 0)
PLAN = Plan(Grid([Point({"h": float(h)}, (f"h={h}",)) for h in range(20)]), Goal(step_name="kimg"))


def record(h: int, state: str = "RUNNING", seconds: float = 100, **known: object) -> TrialRecord:
    ended = None if state in ("RUNNING", "WAITING") else START + timedelta(seconds=seconds)
    point = {"h": float(h)}
    return TrialRecord(h, state, point, started=START, ended=ended, overrides=(f"h={h}",), run=h, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_shows_how_far_a_queue_is_written(terminal: bool) -> None:
    file = io.StringIO()
    with queueing_bar(Console(file=file, force_terminal=terminal, width=100)) as tell:
        tell(500, 2000)
    assert ("queueing the points" in file.getvalue() and "25%" in file.getvalue()) == terminal
    assert terminal or file.getvalue() == ""


def test_a_line_for_each_event() -> None:
    said: list[str] = []
    earlier = record(4, steps={2: 30.0})  # another host runs it
    lines = EventLines(said.append, PLAN, [earlier])
    running = record(2, steps={2: 30.0})
    lines.show([record(2, "WAITING")])
    lines.show([replace(earlier, steps={2: 30.0, 4: 20.0})])
    lines.show([record(2), record(99)])  # the latter is not of this plan
    lines.show([running])
    lines.show([replace(running, steps={2: 30.0, 4: 12.5})])
    lines.show([record(2, "COMPLETE", steps={2: 30.0, 4: 12.5}, value=12.5)])
    lines.show([record(3, waits="not begun")])
    for _ in range(2):
        lines.show([record(3, waits="Slurm job 7 waits: Priority")])
    lines.show([record(3, waits="")])
    lines.show([record(3, "FAIL", reason="DivergenceError: nan", requeued=True)])
    assert said == [
        "trial 4  h=4  kimg 4  value 20",
        "trial 2  h=2  started",
        "trial 2  h=2  kimg 2  value 30",
        "trial 2  h=2  kimg 4  value 12.5",
        "trial 2  h=2  COMPLETE value 12.5 in 100 s",
        "trial 3  h=3  started",
        "trial 3  h=3  Slurm job 7 waits: Priority",
        "trial 3  h=3  ended early after 100 s: DivergenceError: nan; it waits again",
    ]


def test_how_long_it_takes() -> None:
    pace = Durations([record(0, "COMPLETE", 100, steps={4: 1.0}, value=1.0), record(1, "FAIL", 1)])
    now = START + timedelta(seconds=30)
    assert pace.left(record(2), now) == 70  # it has reported nothing
    assert pace.left(record(2, steps={1: 5.0}), now) == 75  # a quarter of the steps is done
    assert pace.left(record(2, steps={9: 5.0}), now) == 0
    assert pace.sweep_left([record(2, steps={1: 5.0})], n_open=4, n_workers=2, now=now) == 200  # 75 + 100, 200
    assert Durations([]).left(record(2), now) is None


def test_the_table_has_the_running_trials_and_the_newest_ends() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, no_color=True)
    board = LiveTable(console, PLAN, n_workers=2)
    ended = [record(h, "COMPLETE", 100 + h, value=h + 0.5, steps={4: h + 0.5}) for h in range(MAX_ENDED + 2)]
    board.show([*ended, record(12, steps={1: 7.25}), record(13), record(14, "WAITING")])
    board.close()
    console = Console(file=io.StringIO(), width=100)
    console.print(board.render(START + timedelta(seconds=50)))
    assert isinstance(console.file, io.StringIO)
    rows = [line.split() for line in console.file.getvalue().splitlines()]
    assert rows[1] == ["trial", "point", "kimg", "value", "state", "ETA"]
    assert [row[0] for row in rows if row and row[0].isdigit()][:-1] == [*map(str, range(2, 10)), "12", "13"]
    assert ["9", "h=9", "4", "9.5", "COMPLETE"] in rows
    assert ["12", "h=12", "1", "7.25", "RUNNING", "0:01:18"] in rows
    assert ["13", "h=13", "-", "-", "RUNNING", "0:00:54"] in rows
    assert rows[-1][:9] == ["10", "of", "20", "ended,", "0", "failed,", "2", "running;", "ETA"]


@pytest.mark.slow
def test_on_a_terminal_the_table_is_gone_when_the_summary_comes(app: App) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, str(APP), "-m", "h=0.5,2", "mode=curve", "hydra.sweeper.workers=2"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    with warm.Popen(command, cwd=app.cwd, env=environment, stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        shown = "".join(chunk.decode(errors="replace") for chunk in iter(lambda: _read(ours), b""))
    os.close(ours)
    assert "2 of 2 ended, 0 failed, 0 running" in shown
    assert "running; ETA" not in shown.partition("best: trial 0")[2]


@pytest.mark.slow
def test_the_table_leaves_no_line_behind_after_ctrl_c(app: App) -> None:
    pyte = pytest.importorskip("pyte")
    screen = pyte.Screen(120, 40)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    command = [sys.executable, str(APP), "-m", "h=0.5,1,2", "mode=hang", "hydra.sweeper.workers=2"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    with warm.Popen(command, cwd=app.cwd, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as sweep:
        os.close(theirs)
        asked = False
        for chunk in iter(lambda: _read(ours), b""):
            stream.feed(chunk)
            if not asked and any("2 running" in line for line in screen.display):
                asked = True
                sweep.send_signal(signal.SIGINT)
    os.close(ours)
    first, last, *rest = [line.strip() for line in screen.display if line.strip()]
    assert first.startswith("2 workers; their output is in")
    assert (last, rest) == ("stopped; run the same command again to continue", [])


def test_fewer_trials_than_workers_end_when_the_slowest_does() -> None:
    pace = Durations([record(0, "COMPLETE", 100, steps={4: 1.0}, value=1.0)])
    running = [record(2, steps={1: 5.0}), record(3, steps={3: 5.0})]
    assert pace.sweep_left(running, n_open=2, n_workers=8, now=START) == 75
    assert pace.sweep_left(running, n_open=3, n_workers=8, now=START) == 100
    assert pace.sweep_left(running, n_open=4, n_workers=2, now=START) == 175  # 25 + 100, 75 + 100


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux: the other side is closed
        return b""
