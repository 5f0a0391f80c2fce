"""Create or find a training's run in MLflow, and send records to it. Each call may take long or raise."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from clipgan.base.durable_files import replace_text
from clipgan.base.mlflow_store import address, connect, first_touch, limit_waits
from clipgan.base.secrets import without_passwords
from clipgan.config import MlflowConfig
from clipgan.tracking import mlflow_files
from clipgan.tracking.mlflow_files import File, Picture
from clipgan.tracking.run_description import RunDescription

MAX_PARAM = 500  # characters; longer values are cut
MAX_DIGEST = 36  # characters; MLflow's limit
RUN_DIR_TAG = "clipgan.run_dir"  # tag with the run directory, which has the checkpoints
RESUMED_TAG = "resumed."  # prefix of a parameter's key, for its newest value if a resumed run has changed it
BATCH = 100  # parameters per call; MLflow's limit
RUN_ID_FILE = "mlflow_run_id.txt"  # in the run directory
URI_FILE = "mlflow_uri.txt"  # in the run directory: the URI of the MLflow with this id
MARK_FILE = "mlflow_run_mark.txt"  # in the run directory, from the request for a run to the note of its id
MARK_TAG = "clipgan.mark"  # tag with this mark
NO_SUCH = "RESOURCE_DOES_NOT_EXIST"  # MLflow's error codes
REFUSED = ("BAD_REQUEST", "INVALID_PARAMETER_VALUE")
LOST = (NO_SUCH, "INVALID_STATE", *REFUSED)  # of a call on a run that is deleted or gone
PICTURES = "samples-*.png"  # in the run directory
GOAL = "Goal/"  # prefix of a copy of the objective: MLflow draws metrics with a prefix first, in the prefixes' order

Record = dict[str, Any]  # step, time, metrics by name


class MlflowRun:
    """One run in an MLflow that may be unreachable: a caller may repeat a failed call."""

    def __init__(
        self,
        config: MlflowConfig,
        run_dir: Path,
        about: RunDescription,
        params: Mapping[str, Any],
        records: Callable[[], Sequence[Record]],
        resumed: bool,
        forget: bool = False,
    ) -> None:
        """
        Args:
            config: settings of MLflow.
            run_dir: the run's directory.
            about: the run's description.
            params: dotted keys to plain values.
            records: returns all records so far.
            resumed: whether the run goes on from a checkpoint. If not, an earlier process may have ended in `run_dir`
                before its first one: then the run takes over its MLflow run, if the parameters are the same.
            forget: whether the MLflow run of an earlier training in `run_dir` stays as it is, as with `resume=none`.
        """
        limit_waits()
        self.config, self.run_dir, self.about = config, run_dir, about
        self.params = {key: str(value)[:MAX_PARAM] for key, value in params.items()}
        self._records = records
        self.resumed = resumed
        if forget:
            for name in (RUN_ID_FILE, MARK_FILE):
                (run_dir / name).unlink(missing_ok=True)
        self.run_id: str | None = None  # MLflow's id, after `open`
        self.page: str | None = None  # where a browser shows it, after `open`
        self._client: Any = None

    def open(self) -> tuple[list[Record], list[Picture]]:
        """Make the run, or find that of an earlier process; returns what the earlier process could not send."""
        from mlflow.entities import RunTag

        uri = self.config.tracking_uri
        assert uri is not None
        self._client, experiment_id = connect(uri, self.config.experiment)
        run_id = self._known_run(without_passwords(uri)) or self._new_run(without_passwords(uri), experiment_id)
        self._log_params(run_id)
        missing = self._missing(run_id, self._records()) if self.resumed else ([], [])
        tags = {**self.about.tags, **self._parent(), RUN_DIR_TAG: str(self.run_dir.resolve())}
        self._client.log_batch(run_id, tags=[RunTag(key, text) for key, text in tags.items()])
        self.page = address(uri, experiment_id, run=run_id)
        self.run_id = run_id
        return missing

    def send(self, record: Record) -> None:
        """Send one record to the open run."""
        self._client.log_batch(self.run_id, metrics=_metrics(record, self.about.objective))

    def send_file(self, run_id: str, file: File) -> None:
        """Send one file to a run that was open; its id is given because the run may be lost meanwhile."""
        mlflow_files.send(self._client, run_id, file)

    def give_up(self, file: File) -> None:
        """Say in MLflow that its store did not take a file."""
        mlflow_files.give_up(self._client, file)

    def is_lost(self, run_id: str) -> bool:
        """Whether MLflow no longer has a run, or somebody has deleted it there.

        `open` then makes a new run, which gets all records.

        Raises:
            Exception: whatever MLflow raises where it cannot be reached.
        """
        if self._is_active(run_id):
            return False
        if self.run_id == run_id:
            self.run_id, self.resumed = None, True
        return True

    def _is_active(self, run_id: str) -> bool:
        """Whether MLflow has the run, not deleted."""
        from mlflow.exceptions import MlflowException

        try:
            return str(self._client.get_run(run_id).info.lifecycle_stage) == "active"
        except MlflowException as error:
            if error.error_code == NO_SUCH:
                return False
            raise

    def end(self, status: str, tags: Mapping[str, str]) -> None:
        """Close the open run with MLflow's FINISHED, FAILED or KILLED."""
        for name, text in tags.items():
            self._client.set_tag(self.run_id, name, text)
        self._client.set_terminated(self.run_id, status)

    def _known_run(self, uri: str) -> str | None:
        """Reopen an earlier process's run; None if there is no such run, or if this MLflow does not have it.

        Then a new run gets all records (`_missing`).
        """
        known_uri, run_id = noted(self.run_dir / URI_FILE), noted(self.run_dir / RUN_ID_FILE)
        if run_id is None or known_uri not in (None, uri) or not self._is_active(run_id):
            return None
        if not self.resumed and self._is_another(run_id):
            return None
        self._client.update_run(run_id, status="RUNNING")
        return run_id

    def _is_another(self, run_id: str) -> bool:
        """Whether a run without a checkpoint is not this one: it has other parameters, or has ended well."""
        there = self._client.get_run(run_id)
        differs = any(there.data.params.get(key, text) != text for key, text in self.params.items())
        if differs and there.info.status == "RUNNING":
            self._client.set_terminated(run_id, "KILLED")  # what has ended its process could not say so
        return differs or there.info.status == "FINISHED"

    def _parent(self) -> dict[str, str]:
        """The tag that puts a trial below its study; a study in another storage has a run of its own."""
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

        return {MLFLOW_PARENT_RUN_ID: self.about.parent_run_id} if self.about.parent_run_id else {}

    def _new_run(self, uri: str, experiment_id: str) -> str:
        from mlflow.entities import Dataset, DatasetInput
        from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE

        about = self.about
        tags = {MLFLOW_RUN_NAME: about.name, MLFLOW_RUN_NOTE: about.description, **self._parent()}
        run_id = self._create_once(experiment_id, tags)
        if about.dataset:
            name, fingerprint = about.dataset
            dataset = Dataset(name, fingerprint[:MAX_DIGEST], source_type="local", source="{}")
            self._client.log_inputs(run_id, datasets=[DatasetInput(dataset)])
        replace_text(self.run_dir / URI_FILE, uri + "\n")
        replace_text(self.run_dir / RUN_ID_FILE, run_id + "\n")
        (self.run_dir / MARK_FILE).unlink(missing_ok=True)
        return run_id

    def _create_once(self, experiment_id: str, tags: Mapping[str, str]) -> str:
        """Make one run, also if answers are lost: MLflow then has runs whose ids are unknown here, but not their mark.

        MLflow's client repeats a request without a word. An earlier process may have ended before the answer came.
        """
        mark = noted(self.run_dir / MARK_FILE)
        made = [] if mark is None else self._marked(experiment_id, mark)
        if mark is None:
            mark = uuid4().hex
            replace_text(self.run_dir / MARK_FILE, mark + "\n")
        if not made:
            run_id: str = self._client.create_run(experiment_id, tags={**tags, MARK_TAG: mark}).info.run_id
            made = self._marked(experiment_id, mark) or [run_id]
        for double in made[1:]:
            self._client.delete_run(double)
        return made[0]

    def _marked(self, experiment_id: str, mark: str) -> list[str]:
        """List the ids of the runs with a mark, the oldest first."""
        runs = self._client.search_runs(
            [experiment_id], f"tags.`{MARK_TAG}` = '{mark}'", order_by=["attributes.start_time ASC"]
        )
        return [run.info.run_id for run in runs]

    def _log_params(self, run_id: str) -> None:
        """Send the parameters that the run lacks. MLflow cannot change a parameter, so a new value becomes a tag."""
        from mlflow.entities import Param

        there = self._client.get_run(run_id).data
        params = [Param(key, text) for key, text in self.params.items() if key not in there.params]
        for start in range(0, len(params), BATCH):
            self._client.log_batch(run_id, params=params[start : start + BATCH])
        for key, text in self.params.items():
            tag = RESUMED_TAG + key
            if text != there.tags.get(tag, there.params.get(key, text)):
                self._client.set_tag(run_id, tag, text)

    def _missing(self, run_id: str, known: Sequence[Record]) -> tuple[list[Record], list[Picture]]:
        """List the records and pictures that an earlier process could not send."""
        have: dict[str, set[int]] = {}
        late_records = []
        for record in known:
            values = {key for key in record if key not in ("step", "time")}
            for key in values - have.keys():
                have[key] = {metric.step for metric in self._client.get_metric_history(run_id, key)}
            late = {key: record[key] for key in values if record["step"] not in have[key]}
            if late:
                late_records.append({"step": record["step"], "time": record["time"], **late})
        there = {item.path for item in self._client.list_artifacts(run_id)}
        late_pictures = [path for path in sorted(self.run_dir.glob(PICTURES)) if path.name not in there]
        return late_records, [Picture(path, int(path.stem.partition("-")[2])) for path in late_pictures]


def log_metrics(uri: str, run_id: str, values: Mapping[str, float], step: int) -> None:
    """Log metrics to a run that exists, also to one that has ended; raises whatever MLflow raises."""
    limit_waits()
    from mlflow import MlflowClient

    with first_touch(uri):
        MlflowClient(uri).log_batch(run_id, metrics=_metrics({"time": time.time(), "step": step, **values}))


def noted(path: Path) -> str | None:
    """Read a note of this module in a run directory; None if it is missing, empty or damaged."""
    try:
        text = path.read_text().strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return text if text.isprintable() and text else None


def may_be_lost(error: Exception) -> bool:
    """Whether a call may have failed because its run is deleted or gone."""
    return getattr(error, "error_code", None) in LOST


def is_refusal(error: Exception) -> bool:
    """Whether MLflow will never accept a value. Other errors may be temporary."""
    return getattr(error, "error_code", None) in REFUSED


def _metrics(record: Mapping[str, Any], objective: str | None = None) -> list[Any]:
    """The metrics of a record, and the copy of the objective that MLflow's charts begin with."""
    from mlflow.entities import Metric

    when, step = int(record["time"] * 1000), record["step"]
    values = {key: value for key, value in record.items() if key not in ("step", "time")}
    if objective in values:
        values[f"{GOAL}{objective}"] = values[objective]
    return [Metric(key, value, when, step) for key, value in values.items()]
