"""Log a run: to `metrics.jsonl`, TensorBoard's event files if asked for, and MLflow, which may be unreachable."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clipgan.config import MlflowConfig
from clipgan.tracking.log import Log
from clipgan.tracking.metrics_file import MetricsFile
from clipgan.tracking.mlflow_files import Model, Picture
from clipgan.tracking.mlflow_run import MlflowRun
from clipgan.tracking.run_description import RunDescription
from clipgan.tracking.sink import Sink
from clipgan.tracking.tensorboard_events import EventFiles


class RunLog(Log):
    """Writes `metrics.jsonl`, and sends all items to MLflow."""

    def __init__(
        self,
        run_dir: Path,
        config: MlflowConfig,
        about: RunDescription,
        params: Mapping[str, Any],
        resumed_at: int | None,
        saved: Sequence[str] | None = None,
        tensorboard: bool = False,
        forget: bool = False,
    ) -> None:
        """
        Args:
            run_dir: where `metrics.jsonl` and the artifacts are.
            about: the run's description for MLflow.
            params: dotted keys to plain values.
            resumed_at: the step at which a resumed run continues; later records are dropped. None: a new run.
            saved: the checkpoint's copy of the lines of `metrics.jsonl`, if it has one.
            tensorboard: whether to write event files.
            forget: see `MlflowRun`.
        """
        self.file = MetricsFile(run_dir / "metrics.jsonl", resumed_at, saved)
        self._events = EventFiles(run_dir, self.file.records) if tensorboard else None
        self._sink = None
        if config.tracking_uri is not None:
            resumed = resumed_at is not None
            self._sink = Sink(MlflowRun(config, run_dir, about, params, lambda: self.file.records, resumed, forget))

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """See `Log`."""
        record = self.file.append(step, values)
        if self._events:
            self._events.metrics(record)
        if self._sink:
            self._sink.put(record)

    def artifact(self, path: Path) -> None:
        """See `Log`."""
        if self._sink:
            self._sink.put(path)

    def picture(self, path: Path, step: int) -> None:
        """See `Log`."""
        if self._events:
            self._events.picture(path, step)
        if self._sink:
            self._sink.put(Picture(path, step))

    def model(self, write: Callable[[Path], None], step: int) -> None:
        """See `Log`."""
        if self._sink:
            self._sink.put(Model(write, step))

    def finish(self, status: str, pruned: bool = False) -> None:
        """Close the run, and wait a while until MLflow has all items."""
        if self._events:
            self._events.close()
        if self._sink:
            self.artifact(self.file.path)
            self._sink.finish(status, {"pruned": str(pruned).lower()}, in_a_hurry=status == "KILLED" and not pruned)

    def lines(self) -> list[str]:
        """See `Log`."""
        return self.file.lines
