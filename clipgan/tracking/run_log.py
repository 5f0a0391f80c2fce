"""Log a run's metrics: first to `metrics.jsonl`, then to MLflow, which may be unreachable for a while."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clipgan.config import MlflowConfig
from clipgan.tracking.log import Log
from clipgan.tracking.metrics_file import MetricsFile
from clipgan.tracking.mlflow_run import MlflowRun, Model
from clipgan.tracking.run_description import RunDescription
from clipgan.tracking.sink import Sink


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
    ) -> None:
        """
        Args:
            run_dir: where `metrics.jsonl` and the artifacts are.
            about: the run's description for MLflow.
            params: dotted keys to plain values.
            resumed_at: the step at which a resumed run continues; later records are dropped. None: a new run.
            saved: the checkpoint's copy of the lines of `metrics.jsonl`, if it has one.
        """
        self.file = MetricsFile(run_dir / "metrics.jsonl", resumed_at, saved)
        self._sink = None
        if config.tracking_uri is not None:
            resumed = resumed_at is not None
            self._sink = Sink(MlflowRun(config, run_dir, about, params, lambda: self.file.records, resumed))

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """See `Log`."""
        record = self.file.append(step, values)
        if self._sink:
            self._sink.put(record)

    def artifact(self, path: Path) -> None:
        """See `Log`."""
        if self._sink:
            self._sink.put(path)

    def model(self, write: Callable[[Path], None], step: int) -> None:
        """See `Log`."""
        if self._sink:
            self._sink.put(Model(write, step))

    def finish(self, status: str, pruned: bool = False) -> None:
        """Close the run, and wait a while until MLflow has all items."""
        if self._sink:
            self.artifact(self.file.path)
            self._sink.finish(status, {"pruned": str(pruned).lower()}, in_a_hurry=status == "KILLED" and not pruned)

    def lines(self) -> list[str]:
        """See `Log`."""
        return self.file.lines
