"""Reading a study for a report."""

import shutil
from pathlib import Path

import pytest
from optuna.trial import TrialState

from sweeps.base.errors import SweepError
from sweeps.report.reading import read
from sweeps.study.lookup import shown_url
from tests.sweeps.report.studies import Studies, add, grid


def test_a_study_with_its_trials(studies: Studies) -> None:
    grid(studies.make("s"))
    sweep = read(studies.url, "s")
    assert (sweep.name, sweep.axes, sweep.objective, sweep.goal.minimizes) == ("s", ("loss", "h"), "objective", True)
    assert sweep.goal.step_name == "kimg"
    assert [len(sweep.in_state(state)) for state in ("COMPLETE", "PRUNED", "FAIL")] == [8, 1, 1]
    first = sweep.trials[0]
    assert (first.values, first.steps[2], first.attributes) == ((24.0,), 44.0, {"sec_per_kimg": 9.5})
    assert sweep.command(first) == "python train.py kimg=8 loss=symmetric h=0.1"
    assert sweep.in_state("PRUNED")[0].values == ()  # Optuna gives it the last reported value


def test_the_newest_trial_of_a_point_and_replica_counts(studies: Studies) -> None:
    study = studies.make("s")
    add(study, {"h": 1.0}, state=TrialState.FAIL, reason="orphaned")
    add(study, {"h": 1.0}, [3.0], replica=1)
    add(study, {"h": 1.0}, [2.0])
    sweep = read(studies.url, "s")
    assert [trial.number for trial in sweep.trials] == [1, 2]
    assert [trial.number for trial in sweep.superseded] == [0]


def test_an_axis_of_seeds_gives_replicas(studies: Studies) -> None:
    study = studies.make("s")
    for seed in (0.0, 1.0, 7.0):
        add(study, {"h": 1.0, "seed": seed}, [seed])
    sweep = studies.read("s")
    [point] = sweep.points
    assert sweep.axes == ("h",)
    assert [trial.replica for trial in point.complete] == [0, 1, 7]
    assert point.first.n == 3
    assert sweep.command(sweep.trials[2]) == "python train.py kimg=8 h=1 seed=7"


def test_the_only_study_needs_no_name(studies: Studies) -> None:
    studies.make("only")
    assert read(studies.url, None).name == "only"
    studies.make("another")
    with pytest.raises(SweepError, match=r"which study in sqlite:.*: those there are: another, only"):
        read(studies.url, None)


def test_a_study_that_is_not_there(studies: Studies, tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"there is no study yet: .*sweeps\.db does not exist"):
        read(studies.url, "s")
    assert not list(tmp_path.iterdir())  # a look makes no database
    studies.make("h-1")
    with pytest.raises(SweepError, match=r"there is no study nonsense in .*: those there are: h-1"):
        read(studies.url, "nonsense")


def test_another_tools_study(studies: Studies) -> None:
    import optuna

    study = optuna.create_study(study_name="foreign", storage=studies.url, direction="maximize")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_int("n", 1, 3), n_trials=3)
    sweep = studies.read("foreign")
    points = sweep.points
    assert set(sweep.axes) == {"x", "n"}
    assert len(points) == 3
    assert points[0].first.mean == study.best_value


def test_passwords_stay_hidden(studies: Studies) -> None:
    assert shown_url("postgresql://me:secret@host/db?password=secret") == "postgresql://me:***@host/db"
    study = studies.make("s", command={"program": "t.py", "fixed": ["mlflow.tracking_uri=http://me:secret@host:5000"]})
    add(study, {"h": 1.0}, state=TrialState.FAIL, reason="cannot reach http://me:secret@host")
    sweep = read(studies.url, "s")
    [trial] = sweep.trials
    assert sweep.command(trial) == "python t.py mlflow.tracking_uri=http://me:***@host:5000 h=1"
    assert trial.reason == "cannot reach http://me:***@host"


def test_run_directories_are_found_where_the_study_has_moved_to(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    (before / "runs" / "h-1" / "0").mkdir(parents=True)
    studies = Studies(before)
    for run in ("0", "1"):
        add(studies.make(f"s{run}"), {"h": 1.0}, [2.0], run_dir=str(before / "runs" / "h-1" / run))
    before.rename(after)
    studies = Studies(after)
    assert studies.read("s0").trials[0].run_dir == str(after / "runs" / "h-1" / "0")
    assert studies.read("s1").trials[0].run_dir == str(before / "runs" / "h-1" / "1")  # it is nowhere


def test_a_copied_study_has_the_copied_run_directories_and_those_that_were_not_copied(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for run in ("0", "1"):
        (before / "runs" / "h-1" / run).mkdir(parents=True)
        add(Studies(before).make(f"s{run}"), {"h": 1.0}, [2.0], run_dir=str(before / "runs" / "h-1" / run))
    shutil.copytree(before, after)
    (after / "runs" / "h-1" / "1").rmdir()
    assert Studies(after).read("s0").trials[0].run_dir == str(after / "runs" / "h-1" / "0")
    assert Studies(after).read("s1").trials[0].run_dir == str(before / "runs" / "h-1" / "1")
    assert Studies(before).read("s0").trials[0].run_dir == str(before / "runs" / "h-1" / "0")


def test_a_directory_of_another_run_is_no_copy(tmp_path: Path) -> None:
    own, alike = tmp_path / "scratch" / "runs" / "s" / "0", tmp_path / "study" / "runs" / "s" / "0"
    for folder, lines in ((own, "- h=1\n"), (alike, "- h=1\n- batch=32\n")):
        (folder / ".hydra").mkdir(parents=True)
        (folder / ".hydra" / "overrides.yaml").write_text(lines)
    studies = Studies(tmp_path / "study")
    add(studies.make("s"), {"h": 1.0}, [2.0], run_dir=str(own))
    assert studies.read("s").trials[0].run_dir == str(own)


def test_a_result_stays_if_its_rerun_has_failed_before_it_reported_anything(studies: Studies) -> None:
    study = studies.make("s")
    for h, reruns in ((1.0, ({2: 5.0}, {2: 5.0})), (2.0, ({2: 7.0},)), (3.0, ())):
        add(study, {"h": h}, [h], steps={2: 5.0})
        for steps in reruns:
            add(study, {"h": h}, state=TrialState.FAIL, steps=steps, reason="gone")
    sweep = studies.read("s")
    assert [(trial.number, trial.state, trial.latest.number) for trial in sweep.trials] == [
        (0, "COMPLETE", 2),
        (4, "FAIL", 4),  # it has reported another value
        (5, "COMPLETE", 5),
    ]
    assert str(sweep.ranking.best) == "h=1"
    assert [trial.number for trial in sweep.superseded] == [1, 2, 3]
