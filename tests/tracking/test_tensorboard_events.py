"""Event files hold what metrics.jsonl holds, as TensorBoard itself reads them."""

import io
import json
import sys

import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from clipgan.base.errors import UserError
from clipgan.config import MlflowConfig
from clipgan.config.command_line import register_resolvers
from clipgan.tracking import provenance, tensorboard_events
from tests import warm
from tests.helpers import ROOT, make_config
from tests.tiny import tiny
from tests.tracking.logs import open_log


@pytest.fixture
def read(tmp_path):
    """Reads the event files of the run."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    def read(run_dir=tmp_path / "run"):
        guidance = dict.fromkeys((accumulator.SCALARS, accumulator.IMAGES), 0)  # keep all
        return accumulator.EventAccumulator(str(run_dir / "tensorboard"), guidance).Reload()

    return read


def scalars(events, key):
    return [(event.step, event.value) for event in events.Scalars(key)]


def picture(run_dir, step, colour):
    path = run_dir / f"samples-{step:06d}.png"
    Image.new("RGB", (4, 2), colour).save(path)
    return path


def test_a_resumed_run_replaces_what_a_killed_one_wrote(tmp_path, read):
    """Also the step that the killed process wrote after its last checkpoint, which the run repeats."""
    config, run_dir = MlflowConfig(tracking_uri=None), tmp_path / "run"
    first = open_log(run_dir, config, tensorboard=True)
    for step in (0, 1, 2):
        first.metrics(step, {"fid": 3.0 - step, "loss/G": 0.25})
    first.picture(picture(run_dir, 1, "red"), 1)
    first.finish("KILLED")
    second = open_log(run_dir, config, resumed_at=1, tensorboard=True)
    second.metrics(2, {"fid": 0.5})
    second.picture(picture(run_dir, 2, "blue"), 2)
    second.finish("FINISHED")
    events = read()
    assert scalars(events, "fid") == [(0, 3.0), (1, 2.0), (2, 0.5)]
    assert scalars(events, "loss/G") == [(0, 0.25), (1, 0.25)]
    shown = [(image.step, Image.open(io.BytesIO(image.encoded_image_string))) for image in events.Images("samples")]
    assert [(step, image.size, image.getpixel((0, 0))) for step, image in shown] == [
        (1, (4, 2), (255, 0, 0)), (2, (4, 2), (0, 0, 255)),
    ]  # fmt: skip


def test_a_fresh_start_has_no_events_of_the_run_before(tmp_path, read):
    config, run_dir = MlflowConfig(tracking_uri=None), tmp_path / "run"
    for value in (3.0, 1.0):
        log = open_log(run_dir, config, tensorboard=True)
        log.metrics(0, {"fid": value})
        log.finish("FINISHED")
    assert scalars(read(), "fid") == [(0, 1.0)]


def test_a_missing_library_is_one_message(monkeypatch):
    monkeypatch.setattr(tensorboard_events, "find_spec", lambda name: None)
    tensorboard_events.check_installed(["mlflow"])
    with pytest.raises(UserError, match=r"log=\[mlflow,tensorboard\] needs .* pip install 'clipgan\[tensorboard\]'"):
        tensorboard_events.check_installed(["mlflow", "tensorboard"])


def test_an_unknown_sink_is_refused():
    with pytest.raises(UserError, match=r"log=\[wandb\] is not allowed: .* mlflow, tensorboard"):
        make_config("log=[wandb]")
    assert make_config("log=[]").log == []


@pytest.mark.slow
def test_a_training_writes_them_and_no_mlflow_unless_it_is_asked_for(tmp_path, cache_dir, read):
    overrides = tiny(cache_dir, "kimg=1", "log=[tensorboard]", "hydra.run.dir=run")
    warm.run([sys.executable, str(ROOT / "train.py"), *overrides], cwd=tmp_path, check=True, capture_output=True)
    events = read()
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    for key in ("fid32_clip_tiny64", "loss/G"):
        written = [(record["step"], pytest.approx(record[key])) for record in records if key in record]
        assert scalars(events, key) == written
    assert [image.step for image in events.Images("samples")] == [0, 1]
    assert not list(tmp_path.glob("mlflow*"))
    assert (tmp_path / "run" / provenance.FILE).is_file()


@pytest.mark.parametrize(("log", "uri"), [("[mlflow,tensorboard]", "sqlite:///x.db"), ("[tensorboard]", None)])
def test_a_sweep_has_a_run_in_mlflow_if_its_trials_have(log, uri):
    register_resolvers(sweep_keys=str)
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        overrides = [f"log={log}", "mlflow.tracking_uri=sqlite:///x.db"]
        node = compose("config", overrides=overrides, return_hydra_config=True)
        assert node.hydra.sweeper.mlflow_tracking_uri == uri
