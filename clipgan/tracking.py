"""A run's figures: every one to `metrics.jsonl` first, then to MLflow, which may be away and come back."""

import json
import math
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from clipgan.config import MlflowConfig
from clipgan.durable import replace_text
from clipgan.progress import console
from clipgan.secrets import without_passwords

MAX_PARAM = 500  # characters; longer values are cut
RUN_DIR_TAG = "clipgan.run_dir"  # where a run's checkpoints lie
BATCH = 100  # what MLflow takes in one call
MODEL_NAME = "generator"  # of the model that a run logs: models are served as runs:/RUN_ID/generator
RUN_ID_FILE = "mlflow_run_id.txt"  # in the run directory
URI_FILE = "mlflow_uri.txt"  # there too: whose id that is
PICTURES = "samples-*.png"  # there too
PATIENCE = 30.0  # seconds that a run waits at its end for a server that has gone away
RETRY = 1.0  # seconds between two tries


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
        kept = self._kept(resumed_at)
        self._sink = None
        if config.tracking_uri is not None:
            self._sink = _MlflowSink(config, run_dir, name, params, parent_run_id, None if resumed_at is None else kept)

    @property
    def mlflow_run_id(self) -> str | None:
        """None while MLflow has not been reached, or is off; waits for the first try to reach it."""
        if self._sink is None:
            return None
        self._sink.opening.join()
        return self._sink.run_id

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Record values at a step (whole kimg)."""
        record = {"step": step, "time": round(time.time(), 3), **values}
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())  # a checkpoint that is written later outlives a power cut no better
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

    def _kept(self, resumed_at: int | None) -> list[dict[str, Any]]:
        """The file's records up to a step; the others go, and so does a line that a full disk has cut."""
        kept = []
        if resumed_at is not None and self.path.exists():
            every = map(_record, self.path.read_text().splitlines())
            kept = [record for record in every if record["step"] <= resumed_at]
        replace_text(self.path, "".join(json.dumps(record) + "\n" for record in kept))
        return kept


class SilentLog(RunLog):
    """Writes nothing."""

    def __init__(self) -> None:
        self._sink = None

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """See `RunLog`; nothing happens."""

    def finish(self, status: str, pruned: bool = False) -> None:
        """See `RunLog`; nothing happens."""


class _MlflowSink:
    """What MLflow has not got yet waits here; a failed call is tried again with the next one.

    The first try has a thread of its own: importing MLflow and opening its store take seconds, in which a new run
    computes its first figures. Their record waits for that thread, and so do all calls after it.
    """

    def __init__(
        self,
        config: MlflowConfig,
        run_dir: Path,
        name: str,
        params: Mapping[str, Any],
        parent_run_id: str | None,
        known: Sequence[dict[str, Any]] | None,
    ) -> None:
        """`known`: the records of a run that goes on; None: a new run."""
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        self.config, self.name, self.params, self.parent_run_id = config, name, params, parent_run_id
        self.id_file, self.uri_file = run_dir / RUN_ID_FILE, run_dir / URI_FILE
        self.known = known
        if known is None:
            self.id_file.unlink(missing_ok=True)
        self.run_id: str | None = None
        self.waiting: list[Item] = []
        self.warned = False
        self._client: Any = None
        self.opening = threading.Thread(target=self._attempt, name="opening MLflow", daemon=True)
        self.opening.start()

    def put(self, item: Item) -> None:
        self.waiting.append(item)
        if isinstance(item, Path) and self.opening.is_alive():
            return  # it goes with the first record
        self.opening.join()
        self._attempt()

    def finish(self, status: str, tags: Mapping[str, str]) -> None:
        self.opening.join()
        deadline = time.monotonic() + (PATIENCE if status == "FINISHED" else 0.0)  # who interrupts does not wait
        while not self._attempt(status, tags) and self.run_id is not None and time.monotonic() < deadline:
            time.sleep(RETRY)  # a server that was there may come back
        if self.waiting or self.run_id is None:
            console.print(f"MLflow never came back: {len(self.waiting)} records are in the run directory only")

    def _attempt(self, status: str | None = None, tags: Mapping[str, str] | None = None) -> bool:
        """Whether everything that waited has arrived."""
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
                message = f"MLflow cannot be reached ({reason}); the figures wait in {where}"
                console.print(without_passwords(message), markup=False)
            self.warned = True
            return False
        return True

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
        run_id = self._known_run(without_passwords(uri))
        if run_id is None:
            tags = {MLFLOW_RUN_NAME: self.name}
            if self.parent_run_id:
                tags[MLFLOW_PARENT_RUN_ID] = self.parent_run_id
            run_id = self._client.create_run(experiment_id, tags=tags).info.run_id
            replace_text(self.uri_file, without_passwords(uri) + "\n")
            replace_text(self.id_file, run_id + "\n")
        there = self._client.get_run(run_id).data.params
        params = [Param(key, str(value)[:MAX_PARAM]) for key, value in self.params.items() if key not in there]
        for start in range(0, len(params), BATCH):
            self._client.log_batch(run_id, params=params[start : start + BATCH])
        if self.known is not None:
            self._catch_up(run_id, self.known)
        self._client.set_tag(run_id, RUN_DIR_TAG, str(self.id_file.parent.resolve()))
        self.run_id = run_id

    def _known_run(self, uri: str) -> str | None:
        """The run that an earlier process made, running again; None where it made none, or none that this MLflow has.

        A new one then gets all that is known (`_catch_up`).
        """
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

        if not self.id_file.exists() or (self.uri_file.exists() and self.uri_file.read_text().strip() != uri):
            return None
        run_id = self.id_file.read_text().strip()
        try:
            self._client.update_run(run_id, status="RUNNING")
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
            return None
        return run_id

    def _catch_up(self, run_id: str, known: Sequence[dict[str, Any]]) -> None:
        """Put what an earlier process could not send before all else: its figures, and its pictures."""
        have: dict[str, set[int]] = {}
        missing: list[Item] = []
        for record in known:
            values = {key for key in record if key not in ("step", "time")}
            for key in values - have.keys():
                have[key] = {metric.step for metric in self._client.get_metric_history(run_id, key)}
            late = {key: record[key] for key in values if record["step"] not in have[key]}
            if late:
                missing.append({"step": record["step"], "time": record["time"], **late})
        there = {item.path for item in self._client.list_artifacts(run_id)}
        missing += [path for path in sorted(self.id_file.parent.glob(PICTURES)) if path.name not in there]
        self.waiting[:0] = missing
        self.known = None

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


def _record(line: str) -> dict[str, Any]:
    """A line of the file; of one that is not whole, a record that no step is late enough for."""
    try:
        record: dict[str, Any] = json.loads(line)
    except ValueError:
        return {"step": math.inf}
    return record


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
