"""Figures: to the file first; MLflow may be away and come back."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress

import pytest
from filelock import FileLock
from mlflow import MlflowClient

from clipgan.config import MlflowConfig
from clipgan.tracking import RunLog


@pytest.fixture
def mlflow_config(tmp_path):
    return MlflowConfig(tracking_uri=f"sqlite:///{tmp_path}/store/mlflow.db", experiment="test")


def open_log(run_dir, config, resumed_at=None):
    run_dir.mkdir(exist_ok=True)
    return RunLog(run_dir, config, "a name", {"h": 0.5, "long": "x" * 9000}, None, resumed_at)


def test_a_store_that_comes_back_gets_everything(tmp_path, mlflow_config, capsys):
    blocker = tmp_path / "store"
    blocker.write_text("a file where the store's folder should be")
    log = open_log(tmp_path / "run", mlflow_config)
    log.metrics(0, {"fid": 3.0})
    assert log.mlflow_run_id is None
    assert capsys.readouterr().out.count("MLflow cannot be reached") == 1
    blocker.unlink()
    log.metrics(1, {"fid": 2.0})
    log.finish("FINISHED")
    history = MlflowClient(mlflow_config.tracking_uri).get_metric_history(log.mlflow_run_id, "fid")
    assert [(metric.step, metric.value) for metric in history] == [(0, 3.0), (1, 2.0)]


def test_figures_do_not_wait_until_mlflow_is_open(tmp_path, mlflow_config):
    """Opening takes as long as another process holds the database; what comes meanwhile arrives, in its order."""
    database = tmp_path / "store" / "mlflow.db"
    database.parent.mkdir()
    picture = tmp_path / "run" / "samples-000000.png"
    with FileLock(f"{database}.lock"):
        log = open_log(tmp_path / "run", mlflow_config)
        picture.write_bytes(b"a picture")
        log.artifact(picture)
        assert not database.exists()
    log.metrics(0, {"fid": 3.0})
    assert history(log.mlflow_run_id, mlflow_config) == [(0, 3.0)]
    client = MlflowClient(mlflow_config.tracking_uri)
    assert [item.path for item in client.list_artifacts(log.mlflow_run_id)] == [picture.name]
    log.finish("FINISHED")
    assert client.get_run(log.mlflow_run_id).info.status == "FINISHED"


def test_a_store_that_stays_away_costs_no_figure(tmp_path, mlflow_config, capsys):
    (tmp_path / "store").write_text("")
    log = open_log(tmp_path / "run", mlflow_config)
    log.metrics(0, {"fid": 3.0})
    log.finish("FINISHED")
    [record] = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert (record["step"], record["fid"]) == (0, 3.0)
    assert "in the run directory only" in capsys.readouterr().out


def test_a_resumed_run_is_the_same_mlflow_run(tmp_path, mlflow_config):
    first = open_log(tmp_path / "run", mlflow_config)
    first.metrics(0, {"fid": 3.0})
    first.metrics(2, {"fid": 2.5})
    first.finish("KILLED")
    second = open_log(tmp_path / "run", mlflow_config, resumed_at=0)
    second.metrics(1, {"fid": 2.0})
    second.finish("FINISHED")
    assert second.mlflow_run_id == first.mlflow_run_id
    run = MlflowClient(mlflow_config.tracking_uri).get_run(first.mlflow_run_id)
    assert run.info.status == "FINISHED"
    assert len(run.data.params["long"]) == 500
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [0, 1]


def test_a_fresh_start_is_a_new_run(tmp_path, mlflow_config):
    first = open_log(tmp_path / "run", mlflow_config)
    first.finish("FAILED")
    second = open_log(tmp_path / "run", mlflow_config)
    assert second.mlflow_run_id != first.mlflow_run_id


def history(run_id, config, key="fid"):
    return [(m.step, m.value) for m in MlflowClient(config.tracking_uri).get_metric_history(run_id, key)]


def test_a_resumed_run_sends_what_a_killed_one_could_not(tmp_path, mlflow_config):
    """MLflow is gone, the process too; the next one finds figures and pictures in the run directory."""
    first = open_log(tmp_path / "run", mlflow_config)
    first.metrics(0, {"fid": 3.0})
    folder, away = tmp_path / "store", tmp_path / "away"
    folder.rename(away)
    folder.write_text("a file where the store's folder should be")
    first.metrics(1, {"fid": 2.5, "loss/G": 1.0})
    (tmp_path / "run" / "samples-000001.png").write_bytes(b"a picture")
    first.artifact(tmp_path / "run" / "samples-000001.png")
    del first  # what waits in memory is lost
    folder.unlink()
    away.rename(folder)
    second = open_log(tmp_path / "run", mlflow_config, resumed_at=1)
    second.metrics(2, {"fid": 2.0})
    second.finish("FINISHED")
    assert history(second.mlflow_run_id, mlflow_config) == [(0, 3.0), (1, 2.5), (2, 2.0)]
    assert history(second.mlflow_run_id, mlflow_config, "loss/G") == [(1, 1.0)]
    names = {item.path for item in MlflowClient(mlflow_config.tracking_uri).list_artifacts(second.mlflow_run_id)}
    assert names == {"metrics.jsonl", "samples-000001.png"}


@pytest.mark.parametrize("moved", ["another URI", "a run that is not there"])
def test_an_mlflow_that_does_not_know_the_run_gets_a_new_one_with_everything(tmp_path, mlflow_config, capsys, moved):
    first = open_log(tmp_path / "run", mlflow_config)
    first.metrics(0, {"fid": 3.0})
    (tmp_path / "run" / "samples-000000.png").write_bytes(b"a picture")
    first.finish("KILLED")
    config = mlflow_config
    if moved == "another URI":
        config = MlflowConfig(tracking_uri=f"sqlite:///{tmp_path}/other/mlflow.db", experiment="test")
    else:
        (tmp_path / "run" / "mlflow_run_id.txt").write_text("0" * 32)
    second = open_log(tmp_path / "run", config, resumed_at=0)
    second.metrics(1, {"fid": 2.0})
    second.finish("FINISHED")
    assert "MLflow" not in capsys.readouterr().out
    assert second.mlflow_run_id != first.mlflow_run_id
    assert history(second.mlflow_run_id, config) == [(0, 3.0), (1, 2.0)]
    assert MlflowClient(config.tracking_uri).get_run(second.mlflow_run_id).data.params["h"] == "0.5"
    names = {item.path for item in MlflowClient(config.tracking_uri).list_artifacts(second.mlflow_run_id)}
    assert names == {"metrics.jsonl", "samples-000000.png"}
    third = open_log(tmp_path / "run", config, resumed_at=1)
    assert third.mlflow_run_id == second.mlflow_run_id


def test_a_line_that_was_cut_is_dropped(tmp_path):
    config = MlflowConfig(tracking_uri=None)
    open_log(tmp_path / "run", config).metrics(0, {"fid": 3.0})
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1, "time": 17')
    open_log(tmp_path / "run", config, resumed_at=0).metrics(1, {"fid": 2.0})
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [(json.loads(line)["step"], json.loads(line)["fid"]) for line in lines] == [(0, 3.0), (1, 2.0)]


@pytest.mark.endurance  # MLflow waits for the lock, 20 seconds
def test_a_locked_tracking_database_costs_no_figure(tmp_path, mlflow_config, capsys):
    log = open_log(tmp_path / "run", mlflow_config)
    log.metrics(0, {"fid": 3.0})
    locker = sqlite3.connect(tmp_path / "store" / "mlflow.db", isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    log.metrics(1, {"fid": 2.0})
    assert "database is locked" in capsys.readouterr().out
    locker.execute("ROLLBACK")
    log.metrics(2, {"fid": 1.0})
    log.finish("FINISHED")
    assert history(log.mlflow_run_id, mlflow_config) == [(0, 3.0), (1, 2.0), (2, 1.0)]


@pytest.fixture
def server(tmp_path):
    """Starts an MLflow server on a free port, always the same; its processes end with the test."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []

    def start():
        arguments = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--serve-artifacts",
                     "--backend-store-uri", f"sqlite:///{tmp_path}/server.db",
                     "--artifacts-destination", str(tmp_path / "artifacts")]  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *arguments], cwd=tmp_path, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        started.append(process)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health"):
                return process
            time.sleep(0.2)
        raise TimeoutError("the server does not answer")

    yield start, f"http://127.0.0.1:{port}"
    for process in started:
        kill_group(process)


def kill_group(process):
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.endurance
def test_a_server_that_is_killed_and_started_again_misses_nothing(tmp_path, server):
    start, uri = server
    config = MlflowConfig(tracking_uri=uri, experiment="test")
    process = start()
    log = open_log(tmp_path / "run", config)
    log.metrics(0, {"fid": 3.0})
    kill_group(process)
    log.metrics(1, {"fid": 2.0})
    (tmp_path / "run" / "samples-000001.png").write_bytes(b"a picture")
    log.artifact(tmp_path / "run" / "samples-000001.png")
    start()
    log.metrics(2, {"fid": 1.0})
    log.finish("FINISHED")
    assert history(log.mlflow_run_id, config) == [(0, 3.0), (1, 2.0), (2, 1.0)]
    client = MlflowClient(uri)
    run = client.get_run(log.mlflow_run_id)
    assert (run.info.status, run.data.params["h"]) == ("FINISHED", "0.5")
    assert {item.path for item in client.list_artifacts(log.mlflow_run_id)} == {"metrics.jsonl", "samples-000001.png"}
