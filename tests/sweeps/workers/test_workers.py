"""Several trials at a time: no trial is lost or run twice, on both databases, and with other launchers."""

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import pytest
from optuna.trial import TrialState

from sweeps.base.errors import FAILED
from sweeps.study.claims import SweepStudy
from tests import warm
from tests.sweeps import postgres as server
from tests.sweeps.sweep_app import REPOSITORY, App

CLAIMER = """
import sys
from sweeps.search.plan import Grid, Plan
from sweeps.points.search_space import Point
from sweeps.study.claims import SweepStudy

url, n = sys.argv[1], int(sys.argv[2])
plan = Plan(Grid([Point({"h": float(h)}, (f"h={h}",)) for h in range(n)]))
study = SweepStudy(url, "s", "minimize", {"axes": ["h"], "config": {}}, print)
study.enqueue(plan, {"h": [float(h) for h in range(n)]})
while (claim := study.claim(plan)) is not None:
    print(claim.point["h"])
    assert study.complete(claim, [claim.point["h"]], None)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/sweeps.db"
    running: server.Server = request.getfixturevalue("postgres")
    return running.create(tmp_path.name)


def race(storage: str, n_claimers: int, n_points: int) -> list[float]:
    """The points that processes have claimed, all of which also made the study and its queue."""
    processes = [
        warm.Popen([sys.executable, "-c", CLAIMER, storage, str(n_points)], cwd=REPOSITORY, stdout=warm.PIPE, text=True)
        for _ in range(n_claimers)
    ]
    outs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * n_claimers
    return [float(line) for out in outs for line in out.split()]


@pytest.mark.slow
def test_eight_claimers_share_the_points(storage: str) -> None:
    claimed = race(storage, n_claimers=8, n_points=30)
    assert sorted(claimed) == [float(h) for h in range(30)]
    study = SweepStudy(storage, "s", "minimize", {"axes": ["h"], "config": {}}, print)
    assert sorted(record.value for record in study.records() if record.value is not None) == sorted(claimed)


@pytest.mark.endurance
@pytest.mark.parametrize("repetition", range(5))
def test_eight_workers_run_two_hundred_points(app: App, storage: str, repetition: int) -> None:
    app.storage = storage
    app.timeout = 300
    app.run("h=range(0,200)", "hydra.sweeper.workers=8")
    assert Counter(app.started()) == Counter(f"{n} {n} symmetric" for n in range(200))
    assert [trial.value for trial in app.trials()] == [(h - 0.5) ** 2 for h in range(200)]
    assert len(app.trials(state=TrialState.COMPLETE)) == 200


@pytest.mark.slow
def test_a_slow_trial_blocks_nobody(app: App) -> None:
    leader = app.start("h=range(0,8)", "mode=hang", "only_at=0", "hydra.sweeper.workers=2")
    app.wait_until(lambda: len(app.trials(state=TrialState.COMPLETE)) == 7)
    [slow] = app.trials(state=TrialState.RUNNING)
    assert slow.params == {"h": 0.0}
    (app.cwd / "go").touch()
    out = app.end(leader)
    assert sorted(app.started()) == [f"{n} {n} symmetric" for n in range(8)]
    for n in range(8):
        assert f"trial {n}  h={n}  started\n" in out
        assert f"trial {n}  h={n}  COMPLETE value {(n - 0.5) ** 2:.6g} in " in out


@pytest.mark.slow
def test_reports_are_shown_and_output_goes_to_the_run_directories(app: App) -> None:
    out = app.run("h=0.5,2", "mode=report", "hydra.sweeper.workers=2", "hydra.sweeper.step_name=kimg")
    name = app.study().study_name
    assert f"2 workers; their output is in runs/{name}/workers, that of a trial in output.txt of its own folder" in out
    assert "trial 0  h=0.5  kimg 1  value 10\n" in out
    assert "trial 1  h=2  kimg 2  value 7.25\n" in out
    assert "hello" not in out
    texts = [(app.cwd / "runs" / name / run / "output.txt").read_text() for run in ("0", "1")]
    assert texts == ["hello from h=0.5\n", "hello from h=2\n"]
    assert len(list((app.cwd / "runs" / name / "workers").glob("*.log"))) == 2


@pytest.mark.slow
def test_no_more_workers_than_points_and_one_keeps_the_terminal(app: App) -> None:
    out = app.run("h=1", "hydra.sweeper.workers=8")
    assert "hello from h=1" in out
    assert "workers" not in out


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_other_launchers_run_a_workers_jobs(app: App, launcher: str) -> None:
    package = launcher.partition("_")[0]
    if importlib.util.find_spec(f"hydra_plugins.hydra_{package}_launcher") is None:
        pytest.skip(f"hydra-{package}-launcher is not installed")
    app.run(
        "h=0.5,2,3", "mode=raise", "only_at=2", f"hydra/launcher={launcher}", "hydra.sweeper.workers=2", status=FAILED
    )
    trials = app.trials()
    assert [(trial.params["h"], trial.value) for trial in trials] == [(0.5, 0.0), (2.0, None), (3.0, 6.25)]
    assert trials[1].user_attrs["reason"] == "DivergenceError: loss is nan at h=2"
    texts = [Path(trial.user_attrs["run_dir"], "output.txt").read_text() for trial in trials]
    assert texts == ["hello from h=0.5\n", "hello from h=2\n", "hello from h=3\n"]
