"""Send a run's items to MLflow from a thread, so that a training never waits for MLflow."""

import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clipgan.base.console import console
from clipgan.base.secrets import without_passwords
from clipgan.base.text import first_line
from clipgan.tracking.mlflow_run import Item, MlflowRun, Model, Picture, is_refusal

PATIENCE = 30.0  # seconds that a finished run waits for an unreachable MLflow
HURRY = 5.0  # seconds that an interrupted or failed run waits for MLflow
RETRY, LONGEST_RETRY = 1.0, 60.0  # seconds between two tries: the first pause, and the longest one; pauses double


class Sink:
    """Two queues for MLflow, of records and of files, and a thread that sends them.

    A failed record is sent again with the next item, or after a growing pause. A file that MLflow cannot store is tried
    again apart, so that records never wait for it. The thread is a daemon, so it never delays the end of the process.
    """

    def __init__(self, run: MlflowRun) -> None:
        self._run = run
        self._records: deque[dict[str, Any]] = deque()  # others append at the right; only the thread removes items
        self._files: deque[Path | Picture | Model] = deque()
        self._news = threading.Event()  # set by a new item, and by the end of the run
        self._end: tuple[str, Mapping[str, str]] | None = None  # status and tags, once the run has ended
        self._away = False  # whether the last try failed
        self._given_up = False
        self._ended = False  # whether MLflow has the run's status
        self._said: set[str] = set()
        self._pause, self._files_due = RETRY, 0.0  # for files that MLflow does not store
        self._thread = threading.Thread(target=self._work, name="MLflow", daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Add an item, and return at once."""
        if isinstance(item, dict):
            self._records.append(item)
        else:
            self._files.append(item)
            self._files_due = 0.0
        self._news.set()

    def finish(self, status: str, tags: Mapping[str, str], in_a_hurry: bool) -> None:
        """Wait a while until all items have arrived; longer while MLflow accepts items, unless `in_a_hurry`."""
        self._end = status, tags
        self._news.set()
        self._thread.join(PATIENCE if status == "FINISHED" else HURRY)
        while self._thread.is_alive() and not (self._away or in_a_hurry):  # for a large model or a slow network
            self._thread.join(RETRY)
        self._given_up = True
        missing, where = len(self._records) + len(self._files), self._run.run_dir
        if not self._ended:
            console.print(
                f"MLflow lacks {missing} items and the run's status: they are only in {where}; when MLflow answers, "
                f"the same command with hydra.run.dir={where} sends them"
            )
        elif self._files:
            names = ", ".join(map(_name, self._files))
            console.print(f"MLflow lacks {names}: only {where} has what it cannot store")

    def _work(self) -> None:
        pause, last_try = RETRY, False
        while not self._given_up:
            self._news.clear()
            end = self._end
            try:
                self._send(end)
                if end is not None:
                    return
            except Exception as error:  # a training must survive any error of a driver or transport
                self._away = True
                reason = first_line(error)
                self._say("away", f"MLflow cannot be reached ({reason}); the metrics wait in {self._run.run_dir}")
                if end is not None and (end[0] != "FINISHED" or self._run.run_id is None):
                    if last_try:
                        return  # only an MLflow that once answered may come back
                    last_try = True  # one lost answer must not leave a run RUNNING
                self._news.wait(pause if end is None else RETRY)
                pause = min(2 * pause, LONGEST_RETRY)
            else:
                pause = RETRY
                self._news.wait(LONGEST_RETRY if self._files else None)

    def _send(self, end: tuple[str, Mapping[str, str]] | None) -> None:
        """Send everything; the status of an interrupted run comes before its files, which may take long."""
        self._send_records()
        if end is not None and end[0] != "FINISHED":
            self._close(*end)
        if end is not None or time.monotonic() >= self._files_due:
            self._send_files()
        if end is not None and end[0] == "FINISHED":
            self._close(*end)

    def _close(self, status: str, tags: Mapping[str, str]) -> None:
        self._run.end(status, tags)
        self._ended = True

    def _send_records(self) -> None:
        while self._run.run_id is None or self._records:
            if self._run.run_id is None:
                self._open()
                continue
            item = self._records[0]
            try:
                self._run.send(item)
            except Exception as error:
                if self._run.is_lost(error):
                    self._records.clear()  # the file has them too, and the new run gets all records of the file
                elif is_refusal(error, item):
                    self._drop_metric(item, error)
                else:
                    raise
            else:
                self._records.popleft()
            self._away = False

    def _open(self) -> None:
        missing = self._run.open()
        if self._run.about.parent_run_id is None:  # a sweep has printed the address of its trials
            self._say("page", f"to watch its metrics: {self._run.page}")
        self._records.extendleft(item for item in reversed(missing) if isinstance(item, dict))
        self._files.extendleft(item for item in reversed(missing) if not isinstance(item, dict))

    def _send_files(self) -> None:
        for _ in range(len(self._files)):
            item = self._files[0]
            try:
                self._run.send(item)
            except Exception as error:
                if is_refusal(error, item):
                    self._say_refused(_name(item), error)
                elif self._run.answers():  # only its store of files fails
                    self._files.append(item)
                    name, reason = _name(item), first_line(error)
                    self._say(f"store {reason}", f"MLflow cannot store {name} ({reason}); it is tried again")
                else:
                    raise
            self._files.popleft()
            self._away = False
        if self._files:
            self._files_due = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, LONGEST_RETRY)

    def _drop_metric(self, item: dict[str, Any], error: Exception) -> None:
        """Drop a record that MLflow will never accept; of several metrics, drop only the refused one."""
        self._records.popleft()
        metrics = [key for key in item if key not in ("step", "time")]
        if len(metrics) > 1:
            common = {"step": item["step"], "time": item["time"]}
            self._records.extendleft({**common, key: item[key]} for key in reversed(metrics))
        else:
            self._say_refused(metrics[0], error)

    def _say_refused(self, name: str, error: Exception) -> None:
        reason = first_line(error)
        self._say(reason, f"MLflow does not take {name} ({reason}); it is in {self._run.run_dir} only")

    def _say(self, about: str, line: str) -> None:
        """Print a line, unless an earlier line was about the same thing."""
        if about not in self._said:
            self._said.add(about)
            console.print(without_passwords(line))


def _name(item: Path | Picture | Model) -> str:
    path = item.path if isinstance(item, Picture) else item
    return path.name if isinstance(path, Path) else "the model"
