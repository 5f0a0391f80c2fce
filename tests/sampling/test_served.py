"""The generator as MLflow has it: the same pictures, by its signature, from a file without code."""

import base64
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient
from mlflow.pyfunc.scoring_server import infer_and_parse_data
from PIL import Image

from clipgan.engine.mlflow_checkpoint import find_run
from clipgan.sampling.sampler import open_sampler
from clipgan.sampling.served import FEW_ROWS, IN_WORK, MAX_ROWS, SERVER_LIMIT, ServedGenerator
from clipgan.sampling.source import checkpoint_of, from_run
from clipgan.tracking.mlflow_run import RUN_ID_FILE
from tests.helpers import ROOT

CPU = torch.device("cpu")
PROMPT = "a large red circle on a blue background"


def decode(text):
    return torch.from_numpy(np.array(Image.open(io.BytesIO(base64.b64decode(text))))).permute(2, 0, 1)


@pytest.fixture(scope="module")
def model(tracked_run):
    return mlflow.pyfunc.load_model(tracked_run.model)


def test_it_gives_the_pictures_of_clipgan_sample(model, sampler):
    rows = pd.DataFrame({"prompt": [PROMPT, "a star", PROMPT], "seed": [3, 3, 4]})
    for params, truncation in (({}, 1.0), ({"truncation": 0.5}, 0.5)):
        images = model.predict(rows, params)["image"]
        for image, prompt, seed in zip(images, rows["prompt"], rows["seed"], strict=True):
            assert torch.equal(decode(image), sampler.image(sampler.condition(prompt), seed, truncation))


@pytest.mark.parametrize(
    ("rows", "params", "words"),
    [
        ({"prompt": ["a"], "seed": [-3]}, {}, "seed=-3 is not allowed"),
        ({"prompt": ["a", "b"], "seed": [1, 1.5]}, {}, "seed=1.5 is not allowed"),
        ({"prompt": ["a"], "seed": ["1"]}, {}, "seed=1 is not allowed"),
        ({"prompt": ["a"], "seed": [float("nan")]}, {}, "seed=nan is not allowed"),
        ({"prompt": ["a"] * 65, "seed": [1] * 65}, {}, "65 rows are not allowed: a request may have at most 64"),
        ({"prompt": ["a"], "seed": [3]}, {"truncation": 2.0}, "truncation=2.0 is not allowed"),
        ({"prompt": ["a"]}, {}, "missing inputs"),
        ({"prompt": ["a" * 10**6], "seed": [3]}, {}, "prompt=a{40}... is not allowed: it has 1000000 letters"),
        ({"prompt": ["a", None], "seed": [3, 3]}, {}, "prompt=(None|nan) is not allowed: a prompt must be a text"),
    ],
)
def test_a_bad_request_is_refused(model, rows, params, words):
    with pytest.raises(mlflow.MlflowException, match=words):
        model.predict(pd.DataFrame(rows), params)


def test_a_fraction_in_a_servers_json_is_refused(model):
    data = {"columns": ["prompt", "seed"], "data": [["a", 1.5]]}
    rows = infer_and_parse_data({"dataframe_split": data}, model.metadata.get_input_schema())
    with pytest.raises(mlflow.MlflowException, match=r"seed=1\.5 is not allowed"):
        model.predict(rows)


def test_work_for_a_request_ends_with_the_servers_time_limit(sampler, monkeypatch):
    """After a server has answered 504, nobody gets the pictures."""
    monkeypatch.setenv(SERVER_LIMIT, "0")
    drawn = []
    monkeypatch.setattr(sampler, "image", lambda *_: drawn.append(1))
    with pytest.raises(mlflow.MlflowException, match="time limit of 0 s has passed after 0 of 9 pictures"):
        ServedGenerator(sampler).predict(table(9))
    assert not drawn


def test_a_busy_server_refuses_at_once_and_keeps_a_place_for_a_small_request(sampler, monkeypatch):
    """Requests whose clients have left look like any other, so they must not hold up those that come later."""
    served, draw = ServedGenerator(sampler), sampler.image
    begun, go_on = threading.Semaphore(0), threading.Event()

    def held_up(condition, seed, truncation):
        if seed == FEW_ROWS:  # in large requests only
            begun.release()
            go_on.wait()
        return draw(condition, seed, truncation)

    monkeypatch.setattr(sampler, "image", held_up)
    with ThreadPoolExecutor(IN_WORK) as threads:
        large = [threads.submit(served.predict, table(FEW_ROWS + 1)) for _ in range(IN_WORK - 1)]
        try:
            for _ in large:
                assert begun.acquire(timeout=60)
            with pytest.raises(mlflow.MlflowException, match="busy: 3 requests are in work") as caught:
                served.predict(table(FEW_ROWS + 1))
            assert caught.value.get_http_status_code() == 503
            assert len(served.predict(table(FEW_ROWS))) == FEW_ROWS
        finally:
            go_on.set()
        assert [len(request.result()) for request in large] == [FEW_ROWS + 1] * 3
    assert len(served.predict(table(FEW_ROWS + 1))) == FEW_ROWS + 1


def table(rows):
    return pd.DataFrame({"prompt": ["a star"] * rows, "seed": range(rows)})


def test_the_model_is_data_and_belongs_to_its_run(run, model):
    client = MlflowClient(run.tracking_uri)
    [output] = client.get_run(run.id).outputs.model_outputs
    assert output.step == 1
    logged = client.get_logged_model(output.model_id)
    assert (logged.name, logged.status, logged.source_run_id) == ("symmetric h=0_5 shapes 16px", "READY", run.id)
    folder = mlflow.artifacts.download_artifacts(f"models:/{output.model_id}")
    names = {name for _, _, files in os.walk(folder) for name in files}
    assert {"generator.safetensors", "clip.safetensors", "config.yaml", "clip.json"} <= names
    assert not [name for name in names if name.endswith((".pkl", ".pt", ".py"))]
    assert model.metadata.get_input_schema().input_names() == ["prompt", "seed"]


def test_a_run_whose_directory_is_gone_gives_its_model(run, sampler, tmp_path):
    moved = shutil.move(run.folder, tmp_path / "moved")
    try:
        run_id = (moved / RUN_ID_FILE).read_text().strip()
        assert checkpoint_of(find_run(run_id, run.tracking_uri, "run")) is None
        run.folder.mkdir()
        (run.folder / RUN_ID_FILE).write_bytes(b"\xff\0")  # damaged
        assert checkpoint_of(find_run(run_id, run.tracking_uri, "run")) is None
        shutil.rmtree(run.folder)
        found = open_sampler(from_run(run_id, run.tracking_uri), CPU)
    finally:
        shutil.move(moved, run.folder)
    assert torch.equal(found.image(found.condition(PROMPT), 3), sampler.image(sampler.condition(PROMPT), 3))


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.mark.endurance
def test_mlflow_serves_it(run, sampler, tmp_path):
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = ["mlflow", "models", "serve", "-m", run.model, "--env-manager", "local"]
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": run.tracking_uri,
        "PYTHONPATH": str(ROOT),
        "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
    }
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *command, "-h", "127.0.0.1", "-p", str(port)],
            env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(f"{url}/ping", server)
        rows = {"columns": ["prompt", "seed"], "data": [[PROMPT, 3]]}
        body = {"dataframe_split": rows, "params": {"truncation": 0.7}}
        [answer] = ask(f"{url}/invocations", body)["predictions"]
        assert torch.equal(decode(answer["image"]), sampler.image(sampler.condition(PROMPT), 3, 0.7))
        rows["data"] = [[PROMPT, -1]]
        with pytest.raises(urllib.error.HTTPError) as caught:
            ask(f"{url}/invocations", body)
        assert caught.value.code == 400
        assert "seed=-1 is not allowed" in caught.value.read().decode()
        abandon(port, {"dataframe_split": rows | {"data": [[PROMPT, seed] for seed in range(MAX_ROWS)]}}, 60)
        rows["data"] = [[PROMPT, 3]]
        [answer] = ask(f"{url}/invocations", body)["predictions"]  # 504 if it waited behind them
        assert torch.equal(decode(answer["image"]), sampler.image(sampler.condition(PROMPT), 3, 0.7))
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def abandon(port, body, times):
    """Send a request so many times, and leave before the answers."""
    text = json.dumps(body).encode()
    head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(text)}"
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(times)]
    for connection in connections:
        connection.sendall(f"{head}\r\n\r\n".encode() + text)
    time.sleep(1)  # the server has begun
    for connection in connections:
        connection.close()


def wait_for(url, process, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            return urllib.request.urlopen(url, timeout=5).read()
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"nothing answers at {url}; the process's status is {process.poll()}")


def ask(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())
