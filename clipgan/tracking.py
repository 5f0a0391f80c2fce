"""A run's figures: every one to `metrics.jsonl` first, then to MLflow, which may be away and come back."""

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from clipgan.config import MlflowConfig
from clipgan.progress import console

MAX_PARAM = 500  # characters; longer values are cut
RUN_DIR_TAG = "clipgan.run_dir"  # where a run's checkpoints lie
BATCH = 100  # what MLflow takes in one call
MODEL_NAME = "generator"  # of the model that a run logs: models are served as runs:/RUN_ID/generator
RUN_ID_FILE = "mlflow_run_id.txt"  # in the run directory


@dataclass
class _Model:
    """A model to log."""

    write: Callable[[Path], None]
    step: int
    model_id: str | None = None  # MLflow's, once it has been announced


Item = dict[str, Any] | Path | _Model


class RunLog:
    """The record of one run."""

    def __init__(
        self,
        run_dir: Path,
        config: MlflowConfig,
        name: str,
        params: Mapping[str, Any],
        parent_run_id: str | None,
        resumed_at: int | None,
    ) -> None:
        """
        Args:
            run_dir: where `metrics.jsonl` and the artifacts are.
            name: the run's name in MLflow.
            params: dotted keys to plain values.
            parent_run_id: the MLflow run of the sweep, if there is one.
            resumed_at: the step that a resumed run goes on from; later records are dropped. None starts afresh.
        """
        self.path = run_dir / "metrics.jsonl"
        self._truncate(resumed_at)
        self._sink = None
        if config.tracking_uri is not None:
            self._sink = _MlflowSink(config, run_dir, name, params, parent_run_id, resumed_at is not None)

    @property
    def mlflow_run_id(self) -> str | None:
        """None while MLflow has not been reached, or is off."""
        return self._sink.run_id if self._sink else None

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Record values at a step (whole kimg)."""
        record = {"step": step, "time": round(time.time(), 3), **values}
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
        if self._sink:
            self._sink.put(record)

    def artifact(self, path: Path) -> None:
        """Record a file that lies in the run directory."""
        if self._sink:
            self._sink.put(path)

    def model(self, write: Callable[[Path], None], step: int) -> None:
        """Record what was trained as a model of MLflow's.

        Args:
            write: makes an MLflow model in the folder that it is given, which is deleted once MLflow has it.
            step: whole kimg.
        """
        if self._sink:
            self._sink.put(_Model(write, step))

    def finish(self, status: str, pruned: bool = False) -> None:
        """Close the run with MLflow's FINISHED, FAILED or KILLED.

        Args:
            status: one of the three.
            pruned: whether a sweep has ended the run early; its tag `pruned` says so.
        """
        if self._sink:
            self.artifact(self.path)
            self._sink.finish(status, {"pruned": str(pruned).lower()})

    def _truncate(self, resumed_at: int | None) -> None:
        kept = []
        if resumed_at is not None and self.path.exists():
            kept = [line for line in self.path.read_text().splitlines() if json.loads(line)["step"] <= resumed_at]
        self.path.write_text("".join(line + "\n" for line in kept))


class _MlflowSink:
    """What MLflow has not got yet waits here; a failed call is tried again with the next one."""

    def __init__(
        self,
        config: MlflowConfig,
        run_dir: Path,
        name: str,
        params: Mapping[str, Any],
        parent_run_id: str | None,
        resumed: bool,
    ) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        self.config, self.name, self.params, self.parent_run_id = config, name, params, parent_run_id
        self.id_file = run_dir / RUN_ID_FILE
        if not resumed:
            self.id_file.unlink(missing_ok=True)
        self.run_id: str | None = None
        self.waiting: list[Item] = []
        self.warned = False
        self._client: Any = None
        self._attempt()

    def put(self, item: Item) -> None:
        self.waiting.append(item)
        self._attempt()

    def finish(self, status: str, tags: Mapping[str, str]) -> None:
        self._attempt(status, tags)
        if self.waiting or self.run_id is None:
            console.print(f"MLflow never came back: {len(self.waiting)} records are in the run directory only")

    def _attempt(self, status: str | None = None, tags: Mapping[str, str] | None = None) -> None:
        try:
            if self.run_id is None:
                self._start()
            self._send()
            for name, text in (tags or {}).items():
                self._client.set_tag(self.run_id, name, text)
            if status is not None:
                self._client.set_terminated(self.run_id, status)
        except Exception as error:  # of whatever driver or transport: no figure is worth less because MLflow is away
            if not self.warned:
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                where = self.id_file.parent
                console.print(f"MLflow cannot be reached ({reason}); the figures wait in {where}", markup=False)
            self.warned = True

    def _start(self) -> None:
        import mlflow
        from mlflow.entities import Param
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

        uri = self.config.tracking_uri
        assert uri is not None
        with first_touch(uri):
            self._client = mlflow.MlflowClient(uri)
            experiment = self._client.get_experiment_by_name(self.config.experiment)
            experiment_id = experiment.experiment_id if experiment else self._client.create_experiment(
                self.config.experiment
            )  # fmt: skip
        if self.id_file.exists():
            run_id = self.id_file.read_text().strip()
            self._client.update_run(run_id, status="RUNNING")
        else:
            tags = {MLFLOW_RUN_NAME: self.name}
            if self.parent_run_id:
                tags[MLFLOW_PARENT_RUN_ID] = self.parent_run_id
            run_id = self._client.create_run(experiment_id, tags=tags).info.run_id
            self.id_file.write_text(run_id + "\n")
            params = [Param(key, str(value)[:MAX_PARAM]) for key, value in self.params.items()]
            for start in range(0, len(params), BATCH):
                self._client.log_batch(run_id, params=params[start : start + BATCH])
        self._client.set_tag(run_id, RUN_DIR_TAG, str(self.id_file.parent.resolve()))
        self.run_id = run_id

    def _send(self) -> None:
        while self.waiting:
            item = self.waiting[0]
            if isinstance(item, Path):
                self._client.log_artifact(self.run_id, str(item))
            elif isinstance(item, _Model):
                self._send_model(item)
            else:
                self._client.log_batch(self.run_id, metrics=_metrics(item))
            del self.waiting[0]

    def _send_model(self, model: _Model) -> None:
        from mlflow.entities import LoggedModelOutput

        if model.model_id is None:
            experiment_id = self._client.get_run(self.run_id).info.experiment_id
            announced = self._client.create_logged_model(experiment_id, MODEL_NAME, source_run_id=self.run_id)
            model.model_id = announced.model_id
        with tempfile.TemporaryDirectory() as folder:
            model.write(Path(folder) / MODEL_NAME)
            self._client.log_model_artifacts(model.model_id, str(Path(folder) / MODEL_NAME))
        self._client.finalize_logged_model(model.model_id, "READY")
        self._client.log_outputs(self.run_id, [LoggedModelOutput(model.model_id, model.step)])


def _metrics(record: Mapping[str, Any]) -> list[Any]:
    from mlflow.entities import Metric

    when, step = int(record["time"] * 1000), record["step"]
    return [Metric(key, value, when, step) for key, value in record.items() if key not in ("step", "time")]


def first_touch(uri: str) -> AbstractContextManager[Any]:
    """A lock for the first use of a tracking store: two processes that create one SQLite database at once break it."""
    if not uri.startswith("sqlite:///"):
        return nullcontext()
    path = Path(uri.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{path}.lock")
