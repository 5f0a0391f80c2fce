"""An MLflow server that goes away, does not answer, refuses, or is killed: no metric is lost."""

import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress

import psutil
import pytest
from mlflow import MlflowClient

from clipgan.config import MlflowConfig
from tests import warm
from tests.relay import Relay
from tests.tracking.logs import await_first_figure, history, open_log, run_id, wait_until

APPLICATION = """
import os, sys
import mlflow.server as server

port, folder = sys.argv[1:]
os.environ[server.BACKEND_STORE_URI_ENV_VAR] = f"sqlite:///{folder}/server.db"
os.environ[server.ARTIFACTS_DESTINATION_ENV_VAR] = f"{folder}/artifacts"
os.environ[server.ARTIFACT_ROOT_ENV_VAR] = "mlflow-artifacts:/"
os.environ[server.SERVE_ARTIFACTS_ENV_VAR] = "true"
server.app.run(port=int(port))
"""


class Server:
    """An MLflow server on a port that stays the same."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = folder

    def start(self, whole=False):
        command, start = ["-c", APPLICATION, str(self.port), str(self.folder)], warm.Popen
        if whole:  # with processes of its own
            command = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
                       "--serve-artifacts", "--backend-store-uri", f"sqlite:///{self.folder}/server.db",
                       "--artifacts-destination", str(self.folder / "artifacts")]  # fmt: skip
            start = subprocess.Popen
        self.process = start(
            [sys.executable, *command], cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health"):
                return
            time.sleep(0.2)
        raise TimeoutError("the server does not answer")

    def kill(self):
        for child in psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []:
            child.kill()
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def relay(server):
    """In front of the server."""
    relay = Relay(server.port)
    yield relay
    relay.refuse()


def assert_everything(run_dir, config):
    assert history(run_dir, config) == [(0, 3.0), (1, 2.0), (2, 1.0)]
    client = MlflowClient(config.tracking_uri)
    run = client.get_run(run_id(run_dir))
    assert (run.info.status, run.data.params["h"]) == ("FINISHED", "0.5")
    assert {item.path for item in client.list_artifacts(run_id(run_dir))} == {"metrics.jsonl", "samples-000001.png"}


def record_while_away(log, run_dir):
    log.metrics(1, {"fid": 2.0})
    (run_dir / "samples-000001.png").write_bytes(b"a picture")
    log.artifact(run_dir / "samples-000001.png")


@pytest.mark.slow
def test_a_server_that_goes_away_and_comes_back_misses_nothing(tmp_path, relay, said):
    config, run_dir = MlflowConfig(tracking_uri=relay.uri, experiment="test"), tmp_path / "run"
    log = open_log(run_dir, config)
    log.metrics(0, {"fid": 3.0})
    await_first_figure(run_dir, config)
    relay.refuse()
    record_while_away(log, run_dir)
    wait_until(lambda: "MLflow cannot be reached" in said())
    relay.listen()
    log.metrics(2, {"fid": 1.0})
    log.finish("FINISHED")
    assert_everything(run_dir, config)


@pytest.mark.slow
def test_lost_answers_make_no_second_run(tmp_path, relay):
    config, run_dir = MlflowConfig(tracking_uri=relay.uri, experiment="lost answers"), tmp_path / "run"
    relay.lose_answers(b"runs/create", 3)  # MLflow's client repeats the first request by itself
    log = open_log(run_dir, config)
    log.metrics(0, {"fid": 3.0})
    log.finish("FINISHED")
    assert statuses(config) == ["FINISHED"]
    assert history(run_dir, config) == [(0, 3.0)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("request_for", "left"), [(b"runs/create", {"KILLED"}), (b"mlflow/runs/", {"RUNNING"})], ids=["create", "all"]
)
def test_a_run_whose_answer_was_lost_at_its_end_is_closed_or_found_by_the_resumed_one(
    tmp_path, relay, request_for, left
):
    config, run_dir = MlflowConfig(tracking_uri=relay.uri, experiment=f"lost {request_for}"), tmp_path / "run"
    relay.lose_answers(request_for, 1000)
    log = open_log(run_dir, config)
    log.metrics(0, {"fid": 3.0})
    log.finish("KILLED")
    relay.lose_answers(b"", 0)
    assert set(statuses(config)) == left
    open_log(run_dir, config, resumed_at=0).finish("FINISHED")
    assert statuses(config) == ["FINISHED"]
    assert history(run_dir, config) == [(0, 3.0)]


def statuses(config):
    client = MlflowClient(config.tracking_uri)
    experiment = client.get_experiment_by_name(config.experiment)
    return [run.info.status for run in client.search_runs([experiment.experiment_id])]


@pytest.mark.slow
def test_a_server_that_does_not_answer_holds_up_nothing(tmp_path, relay, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "100")
    port, relay.target = relay.target, None
    config, run_dir = MlflowConfig(tracking_uri=relay.uri, experiment="test"), tmp_path / "run"
    log = open_log(run_dir, config)
    log.metrics(0, {"fid": 3.0})
    wait_until(lambda: relay.count)
    record_while_away(log, run_dir)
    log.metrics(2, {"fid": 1.0})
    assert relay.count == 1  # the first question still waits for its answer
    relay.answer(port)
    log.finish("FINISHED")
    assert_everything(run_dir, config)


def test_who_interrupts_does_not_wait_for_a_server_that_does_not_answer(tmp_path, said, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "100")
    monkeypatch.setattr("clipgan.tracking.sink.HURRY", 0.1)
    relay = Relay()
    log = open_log(tmp_path / "run", MlflowConfig(tracking_uri=relay.uri, experiment="test"))
    log.metrics(0, {"fid": 3.0})
    wait_until(lambda: relay.count)
    log.finish("KILLED")
    assert relay.count == 1
    assert "MLflow lacks 2 items" in said()
    relay.refuse()


def test_a_database_that_is_away_is_asked_once_at_a_time(tmp_path, said, caplog):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"postgresql+psycopg://u:secret@127.0.0.1:{free.getsockname()[1]}/db"  # nobody listens
        log = open_log(tmp_path / "run", MlflowConfig(tracking_uri=uri, experiment="test"))
        log.metrics(0, {"fid": 3.0})
        log.finish("FINISHED")
    assert "MLflow cannot be reached (" in said()
    assert "MLflow lacks 2 items" in said()
    assert "secret" not in said()
    assert "will be retried" not in caplog.text  # by MLflow, ten times with growing pauses


@pytest.mark.slow
@pytest.mark.parametrize("store", ["server", "sqlite"])
def test_what_mlflow_refuses_is_left_out_and_the_rest_arrives(tmp_path, mlflow_config, request, said, store):
    config, run_dir = mlflow_config, tmp_path / "run"
    if store == "server":
        config = MlflowConfig(tracking_uri=request.getfixturevalue("relay").uri, experiment="test")
    log = open_log(run_dir, config)
    log.artifact(run_dir / "gone.png")
    for step in range(3):
        log.metrics(step, {"fid": 3.0 - step, "loss;G": 1.0, "loss/D": 2.0})
    log.finish("FINISHED")
    assert history(run_dir, config) == [(0, 3.0), (1, 2.0), (2, 1.0)]
    assert history(run_dir, config, "loss/D") == [(0, 2.0), (1, 2.0), (2, 2.0)]
    assert said().count("MLflow does not take loss;G (") == 1
    assert said().count("MLflow does not take gone.png (") == 1
    assert "MLflow lacks" not in said()
    assert MlflowClient(config.tracking_uri).get_run(run_id(run_dir)).info.status == "FINISHED"


@pytest.mark.endurance
def test_a_server_that_is_killed_and_started_again_misses_nothing(tmp_path):
    server = Server(tmp_path)
    config, run_dir = MlflowConfig(tracking_uri=f"http://127.0.0.1:{server.port}", experiment="test"), tmp_path / "run"
    server.start(whole=True)
    try:
        log = open_log(run_dir, config)
        log.metrics(0, {"fid": 3.0})
        await_first_figure(run_dir, config)
        server.kill()
        record_while_away(log, run_dir)
        server.start(whole=True)
        log.metrics(2, {"fid": 1.0})
        log.finish("FINISHED")
        assert_everything(run_dir, config)
    finally:
        server.kill()
