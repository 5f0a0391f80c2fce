"""Sweeps as a user runs them: real processes, a real study."""

import re
import shlex
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest
import yaml
from mlflow import MlflowClient
from omegaconf import OmegaConf
from optuna.trial import TrialState

from sweeps.base.errors import FAILED
from sweeps.study.storage import open_storage
from tests.sweeps.sweep_app import REPOSITORY, App

GRIDS = f"hydra.searchpath=[file://{REPOSITORY}/conf]"


def run_dirs(app: App) -> dict[str, Path]:
    """Run number -> directory, of the only study family."""
    return {path.name: path for path in app.cwd.glob("runs/*/*") if path.is_dir()}


@pytest.mark.slow
def test_a_grid_runs_once_and_grows(app: App) -> None:
    out = app.run("loss=symmetric", "h=0.1,0.5,2")
    assert app.started() == ["0 0.1 symmetric", "1 0.5 symmetric", "2 2 symmetric"]
    assert [trial.value for trial in app.trials()] == pytest.approx([0.16, 0.0, 2.25])
    name = app.study().study_name
    assert re.fullmatch(r"h-[0-9a-f]{8}", name)
    assert f"best: trial 1  h=0.5  value 0  in runs/{name}/1" in out
    assert re.search(r"trial 2  h=2  COMPLETE value 2.25 in \d+ s", out)
    dirs = run_dirs(app)
    assert yaml.safe_load((dirs["2"] / ".hydra" / "overrides.yaml").read_text()) == ["loss=symmetric", "h=2"]
    assert dirs["2"].parent.name == name

    out = app.run("loss=symmetric", "h=0.1,0.5,2.0")
    assert f"0 trials run: all 3 points are already in study {name}" in out
    assert len(app.started()) == 3

    out = app.run("loss=symmetric", "h=0.1,0.5,2,1", "cache_dir=/elsewhere")
    assert app.started()[3:] == ["3 1 symmetric"]
    assert "trial 3  h=1  COMPLETE value 0.25" in out


@pytest.mark.slow
def test_groups_and_a_new_choice(app: App) -> None:
    app.run("loss=symmetric,asymmetric", "clip=ViT-B32,ViT-L14@336", "h=0.5")
    name = app.study().study_name
    assert [(t.params["loss"], t.params["clip"], t.value) for t in app.trials()] == [
        ("symmetric", "ViT-B32", 0.0),
        ("symmetric", "ViT-L14@336", 0.0),
        ("asymmetric", "ViT-B32", 1.0),
        ("asymmetric", "ViT-L14@336", 1.0),
    ]
    assert yaml.safe_load((run_dirs(app)["1"] / ".hydra" / "config.yaml").read_text())["clip"]["name"] == "ViT-L14@336"

    out = app.run("loss=glob(*)", "clip=ViT-B32,ViT-L14@336", "h=0.5")
    assert out.count("is extended: loss=") == 1
    assert app.started()[4:] == ["4 0.5 lafite", "5 0.5 lafite"]
    assert len(app.trials(name)) == 6
    assert [path.name for path in app.cwd.glob("runs/*")] == [name]  # one directory for the whole family


@pytest.mark.slow
def test_a_failure_is_reported_and_retried_only_on_request(app: App) -> None:
    out = app.run("h=0.1,0.5,2", "mode=raise", "only_at=0.5", status=FAILED)
    assert [trial.state.name for trial in app.trials()] == ["COMPLETE", "FAIL", "COMPLETE"]
    name = app.study().study_name
    assert f"failed: trial 1  h=0.5  DivergenceError: loss is nan at h=0.5  in runs/{name}/1" in out
    assert "hydra.sweeper.retry_failed=true" in out
    error = app.cwd / "runs" / name / "1" / "error.txt"
    assert "in misbehave" in error.read_text()

    app.run("h=0.1,0.5,2")  # nothing is left to run, and nothing failed now
    assert len(app.started()) == 3

    out = app.run("h=0.1,0.5,2", "hydra.sweeper.retry_failed=true")
    assert app.started()[3:] == ["1 0.5 symmetric"]
    assert "failed:" not in out
    assert not error.exists()


@pytest.mark.slow
def test_another_content_of_a_variable_of_the_environment_is_another_study(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")  # the workers have another one: they join their leader's study
    monkeypatch.setenv("HH", "8")
    fixed = ("batch=${oc.env:HH}", "+cores=${oc.env:OMP_NUM_THREADS}")
    app.run("h=0.1,0.5", *fixed, "hydra.sweeper.workers=2")
    monkeypatch.setenv("HH", "16")
    app.run("h=0.1,0.5", *fixed)
    assert len(app.started()) == 4
    assert "0 trials run: all 2 points" in app.run("h=0.1,0.5", *fixed)
    [name, _] = optuna.get_all_study_names(open_storage(app.url))
    out = app.run("h=0.1,0.5", *fixed, f"hydra.sweeper.study_name={name}", status=1)
    refused = f"study {name} belongs to another configuration: batch is 16, the study's 8. Give another"
    assert refused in out
    assert "warm_start" not in out
    named = (f"hydra.sweeper.study_name={name}", "hydra.sweeper.dry_run=true")
    assert refused in app.run("h=0.1,0.5", *fixed, *named, status=1)


@pytest.mark.slow
def test_a_reference_on_an_axis_is_shown_as_written(app: App) -> None:
    assert "1 of 1  h=${C_it}\n" in app.run("h=${C_it},${C_it}", "hydra.sweeper.dry_run=true")
    out = app.run("h=${C_it},${C_it}")
    assert "best: trial 0  h=${C_it}  value 0.5625" in out
    assert re.search(r"^ +0 +\$\{C_it\} +0\.5625 +COMPLETE", out, re.MULTILINE)


@pytest.mark.slow
def test_a_trial_of_another_tool_is_ignored_with_a_line(app: App) -> None:
    app.run("h=0.1,0.5")
    app.study().enqueue_trial({"h": 0.3})
    out = app.run("h=0.1,0.5")
    assert f"ignored: 1 trial of study {app.study().study_name} not made by this sweeper; to add points, use" in out
    assert len(app.started()) == 2


@pytest.mark.slow
def test_a_trial_that_somebody_has_deleted_runs_again_under_a_new_number(app: App) -> None:
    app.run("h=0.1,0.5,2")
    with closing(sqlite3.connect(app.cwd / "sweeps.db")) as connection, connection:
        connection.execute("DELETE FROM trials WHERE number = 1")
    out = app.run("h=0.1,0.5,2", "mode=raise", status=FAILED)
    assert [trial.number for trial in app.trials()] == [0, 2, 3]
    assert "failed: trial 1  h=0.5  DivergenceError: loss is nan at h=0.5" in out  # by the number of its run directory
    assert "not shown" not in out


@pytest.mark.slow
def test_a_plain_grid_needs_no_objective_and_only_nan_is_a_failure(app: App) -> None:
    out = app.run("mode=not_a_number,raise,text", status=FAILED)
    assert "best:" not in out
    assert "not compared: 1 trial, of which no job has returned a number" in out
    assert [(trial.state.name, trial.user_attrs.get("reason")) for trial in app.trials()] == [
        ("FAIL", "not finite: the objective is nan"),
        ("FAIL", "DivergenceError: loss is nan at h=0.5"),
        ("COMPLETE", None),
    ]
    assert "0 trials run" in app.run("mode=not_a_number,raise,text")
    app.run("mode=text,plain", "batch=8", "pruner=median", "hydra.sweeper.study_name=compared", status=FAILED)
    [failed] = app.trials("compared", state=TrialState.FAIL)
    assert failed.user_attrs["reason"] == "TypeError: the objective must be a number, not 'good' (str)"


@pytest.mark.slow
def test_a_killed_leader_loses_nothing(app: App) -> None:
    leader = app.start("h=0.1,0.5,2", "mode=hang", "only_at=0.5")
    app.await_file("hanging")
    leader.kill()  # and not reaped yet: a zombie
    (app.cwd / "go").touch()
    out = app.run("h=0.1,0.5,2", "mode=hang", "only_at=0.5")
    assert app.started() == ["0 0.1 symmetric", "1 0.5 symmetric", "1 0.5 symmetric", "2 2 symmetric"]
    [orphan] = app.trials(state=TrialState.FAIL)
    assert (orphan.number, orphan.user_attrs["reason"]) == (1, "orphaned")
    assert len(app.trials(state=TrialState.COMPLETE)) == 3
    assert "not shown: 1 earlier trials" in out


@pytest.mark.slow
def test_ctrl_c_stops_and_the_same_command_goes_on(app: App) -> None:
    leader = app.start("h=0.1,0.5,2", "mode=hang", "only_at=0.5")
    app.await_file("hanging")
    leader.send_signal(signal.SIGINT)
    out = app.end(leader, status=130)
    assert re.search(r"trial 1  h=0.5  ended early after \d s: stopped by SIGINT; it waits again\n", out)
    assert out.endswith("stopped; run the same command again to continue\n")
    assert "Traceback" not in out
    assert [trial.state.name for trial in app.trials()] == ["COMPLETE", "FAIL", "WAITING", "WAITING"]
    (app.cwd / "go").touch()
    app.run("h=0.1,0.5,2", "mode=hang", "only_at=0.5")
    assert app.started()[2:] == ["1 0.5 symmetric", "2 2 symmetric"]


@pytest.mark.slow
def test_two_leaders_share_the_points(app: App) -> None:
    command = ("h=range(0,12)", "mode=hang")
    leaders = [app.start(*command), app.start(*command)]
    app.wait_until(lambda: len(app.started()) == 2)  # both have one
    (app.cwd / "go").touch()
    outs = [app.end(leader) for leader in leaders]
    assert sorted(app.started(), key=lambda line: int(line.split()[0])) == [f"{n} {n} symmetric" for n in range(12)]
    assert len(app.trials()) == 12
    assert all(f"trial {n}  h={n}  " in "".join(outs) for n in range(12))


@pytest.mark.slow
def test_grids_combine_and_the_command_line_replaces_an_axis(app: App) -> None:
    app.run("grid=[h,C_it]", GRIDS, "h=0.3,0.4", "C_it=range(1,3)")
    assert {(t.params["h"], t.params["C_it"]) for t in app.trials()} == {(0.3, 1), (0.3, 2), (0.4, 1), (0.4, 2)}
    app.run("grid=all", GRIDS, "h=1", "C_ii=0.5")
    study = next(path.name for path in app.cwd.glob("runs/C_it-*"))
    assert [trial.params for trial in app.trials(study)] == [{"C_it": c} for c in (0.5, 1.25, 2.5, 3.75, 5)]
    assert [trial.value for trial in app.trials(study)] == [0.25] * 5  # h=1 it was
    message = app.run("grid=h,C_it", GRIDS, status=1)
    assert "grid=h cannot be swept over" in message
    assert "as in grid=[h,C_it]" in message


@pytest.mark.parametrize(
    ("grid", "axes"),
    [("h", {"h"}), ("C_it", {"C_it"}), ("C_ii", {"C_ii"}), ("all", {"h", "C_it", "C_ii"})],
)
def test_each_grid_opens_with_its_command_and_composes(grid: str, axes: set[str]) -> None:
    from hydra import compose, initialize_config_dir

    values = {"h": "0.1,0.2,0.5,1,2", "C_it": "0.5,1.25,2.5,3.75,5", "C_ii": "0.5,1.25,2.5,3.75,5"}
    lines = (REPOSITORY / "conf" / "grid" / f"{grid}.yaml").read_text().splitlines()
    assert lines[:2] == ["# @package _global_", f"# python train.py -m grid={grid}"]
    with initialize_config_dir(str(Path(__file__).parent / "app" / "conf"), version_base="1.3"):
        config = compose("config", [f"grid={grid}", GRIDS], return_hydra_config=True)
    assert dict(config.hydra.sweeper.params) == {axis: values[axis] for axis in axes}


@pytest.mark.slow
def test_the_job_reports_to_its_trial_and_knows_its_parent_run(app: App, mlflow_store: Callable[[Path], str]) -> None:
    mlflow_store(app.cwd / "mlflow.db")
    mlflow = ("hydra.sweeper.mlflow_tracking_uri=sqlite:///mlflow.db", "hydra.sweeper.mlflow_experiment=t")
    out = app.run("h=0.5,2", "mode=report", "hydra.job.chdir=true", "hydra.sweeper.direction=maximize", *mlflow)
    trials = app.trials()
    assert [trial.intermediate_values for trial in trials] == [{1: 10.0, 2: 5.0}, {1: 12.25, 2: 7.25}]
    assert [trial.user_attrs["job.sec_per_kimg"] for trial in trials] == [1.5, 1.5]
    rows = [line.split() for line in out.splitlines()]
    assert ["trial", "h", "step", "1", "step", "2", "value_best", "sec_per_kimg", "value", "state"] in rows
    assert ["1", "2", "12.25", "7.250", "12.25", "1.500", "2.250", "COMPLETE"] in rows
    [run_id] = app.study().user_attrs["mlflow_run_ids"]
    assert {(path / "parent.txt").read_text() for path in run_dirs(app).values()} == {run_id}
    run = MlflowClient(f"sqlite:///{app.cwd}/mlflow.db").get_run(run_id)
    name = app.study().study_name
    assert run.info.run_name == f"sweep h=0.5,2 ({name})"
    assert "-m h=0.5,2 mode=report" in run.data.tags["mlflow.note.content"]
    assert (run.info.status, run.data.params) == ("FINISHED", {})
    assert run.data.metrics == {"best_point_value": 2.25, "best_so_far_value": 2.25, "n_complete": 2.0, "n_fail": 0.0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["hydra.sweeper.direction=up"], "direction=up is not allowed: it must be minimize or maximize"),
        (["hydra.sweeper.storage=sqlite:///no/x.db"], "storage=sqlite:///no/x.db cannot be made: there is no"),
        (["loss=symmetric,misspelt"], "Could not find 'loss/misspelt'"),
        (["h=1,2", "hydra.sweep.subdir=${nope}"], "h=1: hydra.sweep.subdir: Interpolation key 'nope' not found"),
        (["h=1,2", "pruner=none,median"], "pruner=median cannot be swept over: it changes the sweep itself"),
        (["h=1,2", "hydra.sweeper.warm_start=[nosuch]"], "there is no study nosuch; the storage has: none"),
    ],
)
def test_a_mistake_costs_one_message_and_no_trial(app: App, overrides: list[str], message: str) -> None:
    out = app.run(*overrides, status=1)
    assert message in out
    assert "Traceback" not in out
    assert app.started() == []


@pytest.mark.slow
def test_hydra_composes_the_jobs_and_names_their_folders_by_their_overrides(app: App) -> None:
    app.run("batch=8", "h=1,2", "loss=symmetric,lafite", "hydra.sweep.subdir=${hydra.job.override_dirname}")
    found = {path.parents[1].name: path for path in app.cwd.glob("runs/*/*/.hydra/config.yaml")}
    for h in (1, 2):
        for loss in ("symmetric", "lafite"):
            path = found.pop(f"batch=8,h={h},loss={loss}")
            config = OmegaConf.load(path)
            assert (config.batch, config.h, config.loss.name) == (8, h, loss)
            assert sorted(OmegaConf.load(path.with_name("overrides.yaml"))) == ["batch=8", f"h={h}", f"loss={loss}"]
    assert found == {}


DOCUMENTED = [
    command
    for page in ("README.md", *(f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md")))
    for command in re.findall(
        r"^(?: {4}|\$ )?python train\.py -m .*$", (REPOSITORY / page).read_text().replace("\\\n", ""), re.MULTILINE
    )
    if "${" in command
]


@pytest.mark.slow
@pytest.mark.parametrize("command", DOCUMENTED)
def test_a_documented_command_with_a_placeholder_gives_each_study_its_folder(app: App, command: str) -> None:
    shared = command.replace("/shared", str(app.cwd / "shared"))
    overrides = [line for line in shlex.split(shared) if "${" in line]
    for batch in (8, 16):
        app.run(f"batch={batch}", "h=1,2", *overrides)
    studies = optuna.get_all_study_names(open_storage(app.url))
    assert sorted(path.name for path in (app.cwd / "shared" / "runs").iterdir()) == sorted(studies)
    assert len(studies) == 2


def test_a_documented_command_has_a_placeholder() -> None:
    assert DOCUMENTED


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.endurance)])
def test_a_folder_with_the_time_in_it_is_chosen_once_for_a_study(app: App, workers: int) -> None:
    command = ("mode=raise", "only_at=2", "hydra.sweep.dir=at/${now:%H%M%S%f}", "hydra.sweep.subdir=${hydra.job.num}_x")
    app.run("h=1,2", *command, f"hydra.sweeper.workers={workers}", status=FAILED)
    app.run("h=1,2,3", "mode=plain", *command[2:], "hydra.sweeper.retry_failed=true")
    [folder] = (app.cwd / "at").iterdir()
    assert {path.name for path in folder.iterdir() if path.is_dir()} - {"workers"} == {"0_x", "1_x", "2_x"}


@pytest.mark.slow
def test_without_an_axis_one_trial_runs_and_a_named_study_keeps_its_name(app: App) -> None:
    app.run("h=0.5", "hydra.sweeper.study_name=my study")
    assert app.study().study_name == "my study"
    assert (app.cwd / "runs" / "my study" / "0").is_dir()
    assert app.started() == ["0 0.5 symmetric"]


def test_the_plugin_is_light() -> None:
    heavy = ("optuna", "mlflow", "rich", "sqlalchemy", "psutil", "filelock", "torch")
    code = f"import sys, hydra_plugins.clipgan_sweeper; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
