"""Create or find a training's run in MLflow, and send items to it, one by one. Each call may take long or raise."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from clipgan.base.durable_files import replace_text
from clipgan.base.mlflow_store import address, connect, first_touch, limit_waits
from clipgan.base.secrets import without_passwords
from clipgan.config import MlflowConfig
from clipgan.tracking.run_description import RunDescription
from clipgan.tracking.shared_weights import share_weights

MAX_PARAM = 500  # characters; longer values are cut
MAX_DIGEST = 36  # characters; MLflow's limit
RUN_DIR_TAG = "clipgan.run_dir"  # tag with the run directory, which has the checkpoints
RESUMED_TAG = "resumed."  # prefix of a parameter's key, for its newest value if a resumed run has changed it
BATCH = 100  # parameters per call; MLflow's limit
MODEL_NAME = "generator"  # a folder in a model
NOT_IN_MODELS = str.maketrans(dict.fromkeys("/:.%\"'", "_"))  # characters that MLflow forbids in a model's name
RUN_ID_FILE = "mlflow_run_id.txt"  # in the run directory
URI_FILE = "mlflow_uri.txt"  # in the run directory: the URI of the MLflow with this id
MARK_FILE = "mlflow_run_mark.txt"  # in the run directory, from the request for a run to the note of its id
MARK_TAG = "clipgan.mark"  # tag with this mark
NO_SUCH = "RESOURCE_DOES_NOT_EXIST"  # MLflow's error codes
REFUSED = ("BAD_REQUEST", "INVALID_PARAMETER_VALUE")
LOST = (NO_SUCH, "INVALID_STATE", *REFUSED)  # of a call on a run that is deleted or gone
PICTURES = "samples-*.png"  # in the run directory
GOAL = "Goal/"  # prefix of a copy of the objective: MLflow draws metrics with a prefix first, in the prefixes' order


@dataclass
class Model:
    """A model to log."""

    write: Callable[[Path], None]  # makes an MLflow model in the given folder
    step: int
    model_id: str | None = None  # MLflow's id, after the model was announced


@dataclass
class Picture:
    """A PNG in the run directory, `NAME-STEP.png`."""

    path: Path
    step: int


# a record (step, time, metrics by name), a file in the run directory, a snapshot's picture, a model
Item = dict[str, Any] | Path | Picture | Model


class MlflowRun:
    """One run in an MLflow that may be unreachable: a caller may repeat a failed call."""

    def __init__(
        self,
        config: MlflowConfig,
        run_dir: Path,
        about: RunDescription,
        params: Mapping[str, Any],
        records: Callable[[], Sequence[dict[str, Any]]],
        resumed: bool,
    ) -> None:
        """
        Args:
            config: settings of MLflow.
            run_dir: the run's directory.
            about: the run's description.
            params: dotted keys to plain values.
            records: returns all records so far.
            resumed: whether the run goes on; a new run forgets the MLflow run of an earlier one in `run_dir`.
        """
        limit_waits()
        self.config, self.run_dir, self.about = config, run_dir, about
        self.params = {key: str(value)[:MAX_PARAM] for key, value in params.items()}
        self._records = records
        self._resumed = resumed
        if not resumed:
            for name in (RUN_ID_FILE, MARK_FILE):
                (run_dir / name).unlink(missing_ok=True)
        self.run_id: str | None = None  # MLflow's id, after `open`
        self.page: str | None = None  # where a browser shows it, after `open`
        self._client: Any = None

    def open(self) -> list[Item]:
        """Make the run, or find that of an earlier process; returns what the earlier process could not send."""
        from mlflow.entities import RunTag

        uri = self.config.tracking_uri
        assert uri is not None
        self._client, experiment_id = connect(uri, self.config.experiment)
        run_id = self._known_run(without_passwords(uri)) or self._new_run(without_passwords(uri), experiment_id)
        self._log_params(run_id)
        missing = self._missing(run_id, self._records()) if self._resumed else []
        tags = {**self.about.tags, RUN_DIR_TAG: str(self.run_dir.resolve())}
        self._client.log_batch(run_id, tags=[RunTag(key, text) for key, text in tags.items()])
        self.run_id, self.page = run_id, address(uri, experiment_id, run=run_id)
        return missing

    def send(self, item: Item) -> None:
        """Send one item to the open run."""
        if isinstance(item, Path):
            self._client.log_artifact(self.run_id, str(item))
        elif isinstance(item, Picture):
            self._send_picture(item)
        elif isinstance(item, Model):
            self._send_model(item)
        else:
            self._client.log_batch(self.run_id, metrics=_metrics(item, self.about.objective))

    def answers(self) -> bool:
        """Whether MLflow answers at all; if it does not, nothing else needs an explanation."""
        try:
            self._client.get_run(self.run_id)
        except Exception:  # any error of a driver or transport
            return False
        return True

    def is_lost(self, error: Exception) -> bool:
        """Whether a call failed because MLflow no longer has the run, or somebody has deleted it there.

        `open` then makes a new run, which gets all records.
        """
        if getattr(error, "error_code", None) not in LOST:
            return False
        if self._is_active(self.run_id or ""):
            return False
        self.run_id, self._resumed = None, True
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
        self._client.update_run(run_id, status="RUNNING")
        return run_id

    def _new_run(self, uri: str, experiment_id: str) -> str:
        from mlflow.entities import Dataset, DatasetInput
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE

        about = self.about
        tags = {MLFLOW_RUN_NAME: about.name, MLFLOW_RUN_NOTE: about.description}
        if about.parent_run_id:
            tags[MLFLOW_PARENT_RUN_ID] = about.parent_run_id
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

    def _missing(self, run_id: str, known: Sequence[dict[str, Any]]) -> list[Item]:
        """List the metrics and pictures that an earlier process could not send."""
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
        late_pictures = [path for path in sorted(self.run_dir.glob(PICTURES)) if path.name not in there]
        return missing + [Picture(path, int(path.stem.partition("-")[2])) for path in late_pictures]

    def _send_picture(self, picture: Picture) -> None:
        """Send a picture as a file, and as an image of its step: MLflow's charts have a slider through the steps."""
        from PIL import Image, UnidentifiedImageError

        key = picture.path.stem.partition("-")[0]
        with suppress(UnidentifiedImageError), Image.open(picture.path) as image:  # damaged: then only as a file
            image.load()
            self._client.log_image(self.run_id, image, key=key, step=picture.step, synchronous=True)
        self._client.log_artifact(self.run_id, str(picture.path))

    def _send_model(self, model: Model) -> None:
        from mlflow.entities import LoggedModelOutput

        run = self._client.get_run(self.run_id)
        if run.outputs and any(output.step == model.step for output in run.outputs.model_outputs):
            return  # an earlier process finished this run
        if model.model_id is None:
            announced = self._client.create_logged_model(
                run.info.experiment_id, run.info.run_name.translate(NOT_IN_MODELS), source_run_id=self.run_id
            )  # fmt: skip
            model.model_id = announced.model_id
        with tempfile.TemporaryDirectory() as folder:
            model.write(Path(folder) / MODEL_NAME)
            self._client.log_model_artifacts(model.model_id, str(Path(folder) / MODEL_NAME))
        share_weights(self._client.get_logged_model(model.model_id).artifact_location)
        self._client.finalize_logged_model(model.model_id, "READY")
        self._client.log_outputs(self.run_id, [LoggedModelOutput(model.model_id, model.step)])


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


def is_refusal(error: Exception, item: Item) -> bool:
    """Whether MLflow will never accept an item: a value is bad, or the file is gone. Other errors may be temporary."""
    path = item.path if isinstance(item, Picture) else item
    if isinstance(path, Path) and not path.exists():
        return True
    return getattr(error, "error_code", None) in REFUSED


def _metrics(record: Mapping[str, Any], objective: str | None = None) -> list[Any]:
    """The metrics of a record, and the copy of the objective that MLflow's charts begin with."""
    from mlflow.entities import Metric

    when, step = int(record["time"] * 1000), record["step"]
    values = {key: value for key, value in record.items() if key not in ("step", "time")}
    if objective in values:
        values[f"{GOAL}{objective}"] = values[objective]
    return [Metric(key, value, when, step) for key, value in values.items()]
