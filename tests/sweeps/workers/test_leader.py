"""The leader and workers that die before they have a trial."""

import io
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import optuna
import pytest
from omegaconf import OmegaConf

from clipgan.base.console import PlainConsole
from sweeps.base.errors import SweepError
from sweeps.base.settings import Settings
from sweeps.base.signals import Stop
from sweeps.display.progress import EventLines, LiveTable
from sweeps.points.search_space import Point
from sweeps.search.plan import Grid, Plan
from sweeps.study.claims import SweepStudy
from sweeps.study.owner import this_process
from sweeps.workers.leader import MAX_FRUITLESS, Leader, WorkerProcess
from sweeps.workers.time_limits import TimeLimits

PLAN = Plan(Grid([Point({"h": h}, (f"h={h}",)) for h in (1.0, 2.0)]))


def leader_of(study: SweepStudy, folder: Path, say: Callable[[str], None]) -> Leader:
    """A leader with one worker, this process, which has the place 0."""
    leader = Leader(
        study=study,
        config=OmegaConf.create(),
        shares=[{}, {}],
        limits=TimeLimits(Settings()),
        sharing=None,
        as_axes=(),
        parent_run_id=None,
        folder=folder,
        view=EventLines(say, PLAN),
        say=say,
        stop_seconds=1,
    )
    leader._workers[0] = WorkerProcess(cast(Any, SimpleNamespace(pid=os.getpid())), folder / "0.log")
    return leader


def dead_worker(folder: Path) -> WorkerProcess:
    process = subprocess.Popen(["false"], process_group=0)
    process.wait()
    (folder / "1.log").write_text("no connection\n")
    return WorkerProcess(cast(Any, process), folder / "1.log")


def test_a_sweep_ends_for_workers_that_die_at_once_only_if_no_other_runs_a_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    identity = {"axes": ["h"], "config": {}}
    url = f"sqlite:///{tmp_path}/s.db"
    study = SweepStudy(url, "s", "minimize", identity, said.append, leader=this_process())
    study.enqueue(PLAN, {"h": [1.0, 2.0]})
    claim = study.claim(PLAN)
    assert claim is not None
    started: list[int] = []
    leader = leader_of(study, tmp_path, said.append)
    monkeypatch.setattr(leader, "_start", started.append)
    for _ in range(MAX_FRUITLESS):
        leader._replace(1, dead_worker(tmp_path))
    assert started == [1] * (MAX_FRUITLESS - 1)
    died = "workers in a row have died before they ran a trial; the last one worker ended with status 1: no connection"
    [line] = said
    assert line == f"{MAX_FRUITLESS} {died}; see {tmp_path}/1.log; the sweep goes on with fewer workers"
    assert study.complete(claim, (1.0,), None)
    with pytest.raises(SweepError, match=died):
        leader._replace(1, dead_worker(tmp_path))


def test_the_table_leaves_the_terminal_also_where_the_study_is_deleted(tmp_path: Path) -> None:
    """Else it covers the message, and the terminal has no cursor afterwards."""
    url = f"sqlite:///{tmp_path}/s.db"
    study = SweepStudy(url, "s", "minimize", {"axes": ["h"], "config": {}}, print, leader=this_process())
    study.enqueue(PLAN, {"h": [1.0, 2.0]})
    study.changes()
    leader, screen = leader_of(study, tmp_path, print), io.StringIO()
    leader.shares, leader._workers = [], {}
    leader.view = LiveTable(PlainConsole(file=screen, force_terminal=True), PLAN, 1)
    optuna.delete_study(study_name="s", storage=url)
    with pytest.raises(SweepError, match="somebody has deleted it"):
        leader.work()
    assert screen.getvalue().count("\x1b[?25h") == screen.getvalue().count("\x1b[?25l") == 1


class InterruptedLock:
    """A lock of Popen, during whose work Ctrl-C comes."""

    def __init__(self, lock: Any) -> None:
        self.lock = lock

    def acquire(self, blocking: bool) -> bool:
        taken: bool = self.lock.acquire(blocking)
        signal.raise_signal(signal.SIGINT)
        return taken

    def release(self) -> None:
        self.lock.release()

    def __enter__(self) -> bool:
        return self.acquire(True)

    def __exit__(self, *_: object) -> None:
        self.release()


@pytest.mark.parametrize("name", ["has_ended", "ask_to_stop"])
def test_an_interruption_while_a_worker_is_asked_leaves_no_lock_taken(tmp_path: Path, name: str) -> None:
    process = subprocess.Popen(["sleep", "60"], process_group=0)
    worker = WorkerProcess(process, tmp_path / "0.log")
    free = process._waitpid_lock  # type: ignore[attr-defined]
    process._waitpid_lock = InterruptedLock(free)  # type: ignore[attr-defined]
    with Stop().catching_signals(), pytest.raises(KeyboardInterrupt):
        getattr(worker, name)()
    assert free.acquire(False)
    free.release()
    process._waitpid_lock = free  # type: ignore[attr-defined]
    worker.kill()
    process.wait()
