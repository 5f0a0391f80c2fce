"""A run's log: metrics go to the file first; MLflow may be away and come back."""

import json
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest
from filelock import FileLock
from mlflow import MlflowClient
from PIL import Image

from clipgan.config import MlflowConfig
from tests.tracking.logs import await_first_figure, history, open_log, outage, run_id, wait_until


def test_a_store_that_comes_back_gets_everything(tmp_path, absent_mlflow, said):
    blocker = tmp_path / "store"
    blocker.write_text("a file where the store's folder should be")
    log = open_log(tmp_path / "run", absent_mlflow)
    log.metrics(0, {"fid": 3.0})
    wait_until(lambda: "MLflow cannot be reached" in said())
    blocker.unlink()
    log.metrics(1, {"fid": 2.0})
    log.finish("FINISHED")
    assert history(tmp_path / "run", absent_mlflow) == [(0, 3.0), (1, 2.0)]
    assert said().count("MLflow") == 1


def test_the_objective_has_a_copy_that_mlflow_draws_first(tmp_path, mlflow_config):
    """A chart's place follows from its metric's prefix; a resumed run copies later values only, and nothing twice."""
    run_dir = tmp_path / "run"
    for resumed_at in (None, 0):
        log = open_log(run_dir, mlflow_config, resumed_at)
        log.metrics(0 if resumed_at is None else 1, {"loss/D": 1.0, "fid": 3.0})
        log.finish("FINISHED")
    assert history(run_dir, mlflow_config, "Goal/fid") == history(run_dir, mlflow_config) == [(0, 3.0), (1, 3.0)]
    metrics = MlflowClient(mlflow_config.tracking_uri).get_run(run_id(run_dir)).data.metrics
    assert sorted(metrics, key=str.lower)[1:] == ["Goal/fid", "loss/D"]
    assert "Goal" not in (run_dir / "metrics.jsonl").read_text()


def test_figures_do_not_wait_until_mlflow_is_open(tmp_path, absent_mlflow):
    """Opening takes as long as another process holds the database; what comes meanwhile arrives, in its order."""
    database, run_dir = tmp_path / "store" / "mlflow.db", tmp_path / "run"
    database.parent.mkdir()
    with FileLock(f"{database}.lock"):
        log = open_log(run_dir, absent_mlflow)
        picture = run_dir / "samples-000000.png"
        picture.write_bytes(b"a picture")
        log.artifact(picture)
        log.metrics(0, {"fid": 3.0})
        log.metrics(1, {"fid": 2.0})
        assert not database.exists()
    log.finish("FINISHED")
    assert history(run_dir, absent_mlflow) == [(0, 3.0), (1, 2.0)]
    client = MlflowClient(absent_mlflow.tracking_uri)
    assert {item.path for item in client.list_artifacts(run_id(run_dir))} == {picture.name, "metrics.jsonl"}
    assert client.get_run(run_id(run_dir)).info.status == "FINISHED"


def test_a_store_that_stays_away_costs_no_figure(tmp_path, absent_mlflow, capsys):
    (tmp_path / "store").write_text("")
    log = open_log(tmp_path / "run", absent_mlflow)
    log.metrics(0, {"fid": 3.0})
    log.finish("FINISHED")
    [record] = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert (record["step"], record["fid"]) == (0, 3.0)
    assert f"MLflow lacks 2 items and the run's status: they are only in {tmp_path}/run" in capsys.readouterr().out


def test_the_command_again_closes_a_run_that_mlflow_did_not_see_end(tmp_path, mlflow_config, said):
    run_dir = tmp_path / "run"
    first = open_log(run_dir, mlflow_config)
    first.metrics(0, {"fid": 3.0})
    await_first_figure(run_dir, mlflow_config)
    with outage(tmp_path / "store"):
        first.metrics(1, {"fid": 2.0})
        first.finish("KILLED")  # a finished run waits longer, and then says the same
        assert f"when MLflow answers, the same command with hydra.run.dir={run_dir} sends them" in said()
    client = MlflowClient(mlflow_config.tracking_uri)
    assert client.get_run(run_id(run_dir)).info.status == "RUNNING"
    open_log(run_dir, mlflow_config, resumed_at=1).finish("FINISHED")  # the run is at its end: no step follows
    assert client.get_run(run_id(run_dir)).info.status == "FINISHED"
    assert history(run_dir, mlflow_config) == [(0, 3.0), (1, 2.0)]


def test_a_resumed_run_is_the_same_mlflow_run(tmp_path, mlflow_config):
    """A parameter never changes in MLflow: a value that the run goes on with is a tag."""
    run_dir, told = tmp_path / "run", []
    for resumed_at, kimg in ((None, 8), (0, 20), (1, 8)):
        log = open_log(run_dir, mlflow_config, resumed_at, kimg=kimg)
        log.metrics(0 if resumed_at is None else resumed_at + 1, {"fid": 3.0})
        log.finish("FINISHED")
        run = MlflowClient(mlflow_config.tracking_uri).get_run(run_id(run_dir))
        told.append((run.info.run_id, run.data.params["kimg"], run.data.tags.get("resumed.kimg")))
    assert told == [(run_id(run_dir), "8", tag) for tag in (None, "20", "8")]
    assert "resumed.h" not in run.data.tags
    assert len(run.data.params["long"]) == 500
    steps = [json.loads(line)["step"] for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert steps == [0, 1, 2]


def test_a_fresh_start_is_a_new_run(tmp_path, mlflow_config):
    ids = set()
    for _ in range(2):
        open_log(tmp_path / "run", mlflow_config).finish("FINISHED")
        ids.add(run_id(tmp_path / "run"))
    assert len(ids) == 2


def test_a_run_that_ended_before_its_first_checkpoint_goes_on_as_the_same_mlflow_run(tmp_path, mlflow_config):
    run_dir, client, ids = tmp_path / "run", MlflowClient(mlflow_config.tracking_uri), []
    for status, settings in (
        ("KILLED", {}),
        ("FAILED", {}),  # the same command
        ("KILLED", {"h": 2}),  # another one
        ("KILLED", {"h": 2, "forget": True}),  # resume=none
        ("FINISHED", {"h": 2}),
    ):
        log = open_log(run_dir, mlflow_config, **settings)
        log.metrics(0, {"fid": 3.0})
        log.finish(status)
        ids.append(run_id(run_dir))
    assert [ids.index(id_) for id_ in ids] == [0, 0, 2, 3, 3]
    assert [client.get_run(ids[number]).info.status for number in (0, 2, 3)] == ["FAILED", "KILLED", "FINISHED"]


def test_a_trial_whose_study_has_another_run_goes_on_below_that(tmp_path, mlflow_config):
    """As when a study moves from SQLite to PostgreSQL."""
    run_dir, client = tmp_path / "run", MlflowClient(mlflow_config.tracking_uri)
    for resumed_at, parent in ((None, "a" * 32), (0, "b" * 32)):
        log = open_log(run_dir, mlflow_config, resumed_at, parent=parent)
        log.finish("FINISHED")
        assert client.get_run(run_id(run_dir)).data.tags["mlflow.parentRunId"] == parent


def test_a_model_is_logged_once(tmp_path, mlflow_config):
    written = []

    def write(folder):
        folder.mkdir()
        (folder / "MLmodel").write_text("flavors: {}")
        written.append(folder)

    for resumed_at, step in ((None, 8), (8, 8), (8, 20)):
        log = open_log(tmp_path / "run", mlflow_config, resumed_at)
        log.model(write, step)
        log.finish("FINISHED")
    outputs = MlflowClient(mlflow_config.tracking_uri).get_run(run_id(tmp_path / "run")).outputs.model_outputs
    assert sorted(output.step for output in outputs) == [8, 20]
    assert len(written) == 2


def test_a_resumed_run_sends_what_a_killed_one_could_not(tmp_path, mlflow_config, said):
    """MLflow is gone, the process too; the next one finds figures and pictures in the run directory."""
    run_dir = tmp_path / "run"
    first = open_log(run_dir, mlflow_config)
    first.metrics(0, {"fid": 3.0})
    await_first_figure(run_dir, mlflow_config)
    with outage(tmp_path / "store"):
        first.metrics(1, {"fid": 2.5, "loss/G": 1.0})
        (run_dir / "samples-000001.png").write_bytes(b"a picture")
        first.artifact(run_dir / "samples-000001.png")
        first.finish("KILLED")
        assert "and the run's status: they are only in" in said()  # what waits in memory is lost
    second = open_log(run_dir, mlflow_config, resumed_at=1)
    second.metrics(2, {"fid": 2.0})
    second.finish("FINISHED")
    assert history(run_dir, mlflow_config) == [(0, 3.0), (1, 2.5), (2, 2.0)]
    assert history(run_dir, mlflow_config, "loss/G") == [(1, 1.0)]
    names = {item.path for item in MlflowClient(mlflow_config.tracking_uri).list_artifacts(run_id(run_dir))}
    assert names == {"metrics.jsonl", "samples-000001.png"}


@pytest.mark.parametrize("moved", ["another URI", "a run that is not there"])
def test_an_mlflow_that_does_not_know_the_run_gets_a_new_one_with_everything(tmp_path, mlflow_config, capsys, moved):
    run_dir = tmp_path / "run"
    first = open_log(run_dir, mlflow_config)
    first.metrics(0, {"fid": 3.0})
    (run_dir / "samples-000000.png").write_bytes(b"a picture")
    first.finish("FINISHED")
    before, config = run_id(run_dir), mlflow_config
    if moved == "another URI":
        config = MlflowConfig(tracking_uri=f"sqlite:///{tmp_path}/other/mlflow.db", experiment="test")
    else:
        (run_dir / "mlflow_run_id.txt").write_text("0" * 32)
    second = open_log(run_dir, config, resumed_at=0)
    second.metrics(1, {"fid": 2.0})
    second.finish("FINISHED")
    assert "MLflow" not in capsys.readouterr().out
    made = run_id(run_dir)
    assert made != before
    assert history(run_dir, config) == [(0, 3.0), (1, 2.0)]
    assert MlflowClient(config.tracking_uri).get_run(made).data.params["h"] == "0.5"
    names = {item.path for item in MlflowClient(config.tracking_uri).list_artifacts(made)}
    assert names == {"metrics.jsonl", "samples-000000.png"}
    open_log(run_dir, config, resumed_at=1).finish("FINISHED")
    assert run_id(run_dir) == made


def test_a_line_that_was_cut_is_dropped(tmp_path):
    config = MlflowConfig(tracking_uri=None)
    open_log(tmp_path / "run", config).metrics(0, {"fid": 3.0})
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1, "time": 17')
    open_log(tmp_path / "run", config, resumed_at=0).metrics(1, {"fid": 2.0})
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [(json.loads(line)["step"], json.loads(line)["fid"]) for line in lines] == [(0, 3.0), (1, 2.0)]


@pytest.mark.parametrize(
    "given_up",
    [False, pytest.param(True, marks=pytest.mark.endurance)],  # MLflow itself waits for the lock, 20 seconds
)
def test_a_locked_tracking_database_costs_no_figure(tmp_path, mlflow_config, said, given_up):
    run_dir = tmp_path / "run"
    log = open_log(run_dir, mlflow_config)
    log.metrics(0, {"fid": 3.0})
    await_first_figure(run_dir, mlflow_config)
    locker = sqlite3.connect(tmp_path / "store" / "mlflow.db", isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    log.metrics(1, {"fid": 2.0})
    log.metrics(2, {"fid": 1.0})
    if given_up:
        wait_until(lambda: "database is locked" in said())
    locker.execute("ROLLBACK")
    log.finish("FINISHED")
    assert history(run_dir, mlflow_config) == [(0, 3.0), (1, 2.0), (2, 1.0)]


# MLflow's own application without the manager of processes that `mlflow server` puts around it, which takes 20 s more


def break_artifacts(place, config):
    """Make the place of the experiment's artifacts a file: nothing can be stored there."""
    place.write_text("")
    MlflowClient(config.tracking_uri).create_experiment(config.experiment, artifact_location=place.as_uri())


def test_a_file_that_mlflow_cannot_store_holds_up_no_figure_and_is_named(tmp_path, mlflow_config, said):
    run_dir, tried = tmp_path / "run", []
    break_artifacts(tmp_path / "artifacts", mlflow_config)
    log = open_log(run_dir, mlflow_config)
    for step in range(2):
        Image.new("RGB", (4, 4)).save(run_dir / f"samples-{step:06}.png")
        log.picture(run_dir / f"samples-{step:06}.png", step)
    log.model(lambda folder: tried.append(folder) or fail("No space left on device"), 1)
    wait_until(lambda: tried)
    for step in range(3):
        log.metrics(step, {"fid": 3.0 - step})
    wait_until(lambda: len(history(run_dir, mlflow_config)) == 3)
    log.finish("FINISHED")
    run = MlflowClient(mlflow_config.tracking_uri).get_run(run_id(run_dir))
    assert run.info.status == "FINISHED"
    assert len(tried) >= 2  # at its time, and once more at the end
    text = said()
    assert text.count("MLflow cannot store samples-") == 1  # one line for one reason
    assert "MLflow cannot store the model (No space left on device); it is tried again" in text
    assert f"; when MLflow can store them, the same command with hydra.run.dir={run_dir} sends them" in text
    assert "cannot be reached" not in text
    [model] = MlflowClient(mlflow_config.tracking_uri).search_logged_models([run.info.experiment_id])
    assert model.status == "FAILED"


def fail(reason):
    raise OSError(reason)


def test_a_picture_whose_file_is_tried_again_is_in_the_charts_once(tmp_path, mlflow_config, said, monkeypatch):
    run_dir = tmp_path / "run"
    monkeypatch.chdir(tmp_path)
    log = open_log(run_dir, mlflow_config)
    log.metrics(0, {"fid": 3.0})
    await_first_figure(run_dir, mlflow_config)
    client = MlflowClient(mlflow_config.tracking_uri)
    store = Path(client.get_run(run_id(run_dir)).info.artifact_uri.removeprefix("file://"))
    blocker = store / "samples-000000.png"  # a folder where the file should be, and one where MLflow would put it then
    (blocker / blocker.name).mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(run_dir / blocker.name)
    log.picture(run_dir / blocker.name, 0)
    wait_until(lambda: f"cannot store {blocker.name}" in said())
    shutil.rmtree(blocker)
    log.finish("FINISHED")
    assert blocker.is_file()
    assert sum(item.path.endswith(".png") for item in client.list_artifacts(run_id(run_dir), "images")) == 1


def test_a_file_is_stored_as_soon_as_mlflow_can(tmp_path, mlflow_config, said):
    run_dir, place = tmp_path / "run", tmp_path / "artifacts"
    break_artifacts(place, mlflow_config)
    log = open_log(run_dir, mlflow_config)
    (run_dir / "samples-000000.png").write_bytes(b"a picture")
    log.artifact(run_dir / "samples-000000.png")
    wait_until(lambda: "cannot store" in said())
    place.unlink()
    log.finish("FINISHED")
    names = {item.path for item in MlflowClient(mlflow_config.tracking_uri).list_artifacts(run_id(run_dir))}
    assert names == {"metrics.jsonl", "samples-000000.png"}
    assert "MLflow lacks" not in said()


@pytest.mark.slow
def test_records_and_status_wait_for_no_file(tmp_path, mlflow_config, said):
    """A store may hang, and a file may take longer than a cluster waits before it kills."""
    run_dir, stored = tmp_path / "run", threading.Event()
    log = open_log(run_dir, mlflow_config)
    log.model(lambda _: stored.wait(), 1)
    log.metrics(0, {"fid": 3.0})
    await_first_figure(run_dir, mlflow_config)
    log.finish("KILLED")
    assert MlflowClient(mlflow_config.tracking_uri).get_run(run_id(run_dir)).info.status == "KILLED"
    assert "MLflow lacks the model, metrics.jsonl: only" in said()
    stored.set()


@pytest.mark.parametrize(
    ("what", "when"),
    [
        ("run", "before a record"),
        ("run", "at the end"),
        ("run", "before a resume"),
        ("experiment", "before a record"),
        ("experiment", "before a resume"),
    ],
)
def test_what_was_deleted_in_the_ui_gets_everything_again(tmp_path, mlflow_config, said, what, when):
    run_dir, client = tmp_path / "run", MlflowClient(mlflow_config.tracking_uri)
    log = open_log(run_dir, mlflow_config)
    (run_dir / "config.yaml").write_text("h: 0.5")
    log.artifact(run_dir / "config.yaml")
    log.metrics(0, {"fid": 3.0})
    await_first_figure(run_dir, mlflow_config)
    wait_until(lambda: client.list_artifacts(run_id(run_dir)))
    before, steps = run_id(run_dir), [(0, 3.0)]
    if when == "before a resume":
        log.finish("KILLED")
    if what == "run":
        client.delete_run(before)
    else:
        client.delete_experiment(client.get_run(before).info.experiment_id)
    if when == "before a resume":
        log = open_log(run_dir, mlflow_config, resumed_at=0)
        log.artifact(run_dir / "config.yaml")
    if when != "at the end":
        log.metrics(1, {"fid": 2.0})
        steps.append((1, 2.0))
    log.finish("FINISHED")
    assert history(run_dir, mlflow_config) == steps
    run = client.get_run(run_id(run_dir))
    assert (run.info.status, run.info.lifecycle_stage) == ("FINISHED", "active")
    assert (run.info.run_id != before) == (what == "run")  # a restored experiment has its runs again
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == {"config.yaml", "metrics.jsonl"}
    assert "MLflow does not take" not in said()
