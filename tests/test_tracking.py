"""Figures: to the file first; MLflow may be away and come back."""

import json

import pytest
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
