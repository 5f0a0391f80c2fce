"""What the tests of a run's log share: opening one, and reading from MLflow what has arrived."""

import time
from contextlib import contextmanager

from mlflow import MlflowClient

from clipgan.tracking.run_description import RunDescription
from clipgan.tracking.run_log import RunLog


def open_log(run_dir, config, resumed_at=None, tensorboard=False, parent=None, forget=False, **params):
    run_dir.mkdir(exist_ok=True)
    about = RunDescription("a name", "what it is", parent_run_id=parent, objective="fid")
    params = {"h": 0.5, "long": "x" * 9000, **params}
    return RunLog(run_dir, config, about, params, resumed_at, tensorboard=tensorboard, forget=forget)


def run_id(run_dir):
    return (run_dir / "mlflow_run_id.txt").read_text().strip()


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def history(run_dir, config, key="fid"):
    found = MlflowClient(config.tracking_uri).get_metric_history(run_id(run_dir), key)
    return [(metric.step, metric.value) for metric in found]


def await_first_figure(run_dir, config):
    wait_until(lambda: (run_dir / "mlflow_run_id.txt").exists() and history(run_dir, config))


@contextmanager
def outage(folder):
    """A file stands where the store's folder should be, and the folder comes back at the end."""
    away = folder.with_name("away")
    folder.rename(away)
    folder.write_text("a file where the store's folder should be")
    yield
    folder.unlink()
    away.rename(folder)
