"""Log a run: to `metrics.jsonl`, TensorBoard's event files if asked for, and MLflow, which may be unreachable."""

import json
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clipgan.base.console import console
from clipgan.base.durable_files import replace_text
from clipgan.base.secrets import without_passwords
from clipgan.base.text import first_line
from clipgan.config import MlflowConfig
from clipgan.tracking.log import Log
from clipgan.tracking.mlflow_run import Item, MlflowRun, Model, Picture, is_refusal
from clipgan.tracking.run_description import RunDescription
from clipgan.tracking.tensorboard_events import EventFiles

PATIENCE = 30.0  # seconds that a finished run waits for an unreachable MLflow
HURRY = 5.0  # seconds that an interrupted or failed run waits for MLflow
RETRY, LONGEST_RETRY = 1.0, 60.0  # seconds between two tries: the first pause, and the longest one; pauses double


class RunLog(Log):
    """Writes `metrics.jsonl`, and sends all items to MLflow."""

    def __init__(
        self,
        run_dir: Path,
        config: MlflowConfig,
        about: RunDescription,
        params: Mapping[str, Any],
        resumed_at: int | None,
        tensorboard: bool = False,
    ) -> None:
        """
        Args:
            run_dir: where `metrics.jsonl` and the artifacts are.
            about: the run's description for MLflow.
            params: dotted keys to plain values.
            resumed_at: the step at which a resumed run continues; later records are dropped. None: a new run.
            tensorboard: whether to write event files.
        """
        self.path = run_dir / "metrics.jsonl"
        kept = self._kept(resumed_at)
        self._events = EventFiles(run_dir, kept) if tensorboard else None
        self._sink = None
        if config.tracking_uri is not None:
            known = None if resumed_at is None else kept
            self._sink = _Sink(MlflowRun(config, run_dir, about, params, known))

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """See `Log`."""
        record = {"step": step, "time": round(time.time(), 3), **values}
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())  # after a power cut, a later checkpoint must not exist without this record
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
            self.artifact(self.path)
            self._sink.finish(status, {"pruned": str(pruned).lower()}, in_a_hurry=status == "KILLED" and not pruned)

    def _kept(self, resumed_at: int | None) -> list[dict[str, Any]]:
        """Keep the file's records up to a step; delete later records, and a line that a full disk has cut."""
        kept = []
        if resumed_at is not None and self.path.exists():
            every = map(_record, self.path.read_text().splitlines())
            kept = [record for record in every if record["step"] <= resumed_at]
        replace_text(self.path, "".join(json.dumps(record) + "\n" for record in kept))
        return kept


class _Sink:
    """A queue of items for MLflow, and a thread that sends them, so that a training never waits for MLflow.

    A failed item is sent again with the next item, or after a growing pause. The thread is a daemon, so it never delays
    the end of the process.
    """

    def __init__(self, run: MlflowRun) -> None:
        self._run = run
        self._waiting: deque[Item] = deque()  # others append at the right; only the thread removes items
        self._news = threading.Event()  # set by a new item, and by the end of the run
        self._end: tuple[str, Mapping[str, str]] | None = None  # status and tags, once the run has ended
        self._away = False  # whether the last try failed
        self._given_up = False
        self._said: set[str] = set()
        self._thread = threading.Thread(target=self._work, name="MLflow", daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        self._waiting.append(item)
        self._news.set()

    def finish(self, status: str, tags: Mapping[str, str], in_a_hurry: bool) -> None:
        """Wait a while until all items have arrived; longer while MLflow accepts items, unless `in_a_hurry`."""
        self._end = status, tags
        self._news.set()
        self._thread.join(PATIENCE if status == "FINISHED" else HURRY)
        while self._thread.is_alive() and not (self._away or in_a_hurry):  # for a large model or a slow network
            self._thread.join(RETRY)
        self._given_up = True
        if self._thread.is_alive() or self._waiting or self._run.run_id is None:
            missing, where = len(self._waiting), self._run.run_dir
            console.print(f"MLflow lacks {missing} items and the run's status: they are only in {where}", markup=False)

    def _work(self) -> None:
        pause = RETRY
        while not self._given_up:
            self._news.clear()
            end = self._end
            try:
                self._send()
                if end is not None:
                    self._run.end(*end)
                    return
            except Exception as error:  # a training must survive any error of a driver or transport
                self._away = True
                reason = first_line(error)
                self._say("away", f"MLflow cannot be reached ({reason}); the metrics wait in {self._run.run_dir}")
                if end is not None and (end[0] != "FINISHED" or self._run.run_id is None):
                    return  # only an MLflow that once answered may come back
                self._news.wait(pause if end is None else RETRY)
                pause = min(2 * pause, LONGEST_RETRY)
            else:
                pause = RETRY
                self._news.wait()

    def _send(self) -> None:
        if self._run.run_id is None:
            self._waiting.extendleft(reversed(self._run.open()))
            if self._run.about.parent_run_id is None:  # a sweep has printed the address of its trials
                self._say("page", f"to watch its metrics: {self._run.page}")
        while self._waiting:
            item = self._waiting[0]
            try:
                self._run.send(item)
            except Exception as error:
                if not is_refusal(error, item):
                    raise
                self._drop(item, error)
            else:
                self._waiting.popleft()
            self._away = False

    def _drop(self, item: Item, error: Exception) -> None:
        """Drop an item that MLflow will never accept; of a record, drop only the refused metric."""
        self._waiting.popleft()
        metrics = [key for key in item if key not in ("step", "time")] if isinstance(item, dict) else []
        if isinstance(item, dict) and len(metrics) > 1:
            common = {"step": item["step"], "time": item["time"]}
            self._waiting.extendleft({**common, key: item[key]} for key in reversed(metrics))
            return
        path = item.path if isinstance(item, Picture) else item
        name = path.name if isinstance(path, Path) else "the model" if isinstance(item, Model) else metrics[0]
        reason = first_line(error)
        self._say(reason, f"MLflow does not take {name} ({reason}); it is in {self._run.run_dir} only")

    def _say(self, about: str, line: str) -> None:
        """Print a line, unless an earlier line was about the same thing."""
        if about not in self._said:
            self._said.add(about)
            console.print(without_passwords(line), markup=False)


def _record(line: str) -> dict[str, Any]:
    """Parse a line of the file. A cut line becomes a record of step infinity, which is dropped later."""
    try:
        record: dict[str, Any] = json.loads(line)
    except ValueError:
        return {"step": math.inf}
    return record
