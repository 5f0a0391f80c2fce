"""Send a run's items to MLflow from threads, so that a training never waits for MLflow."""

import threading
import time
from collections import deque
from collections.abc import Mapping

from clipgan.base.console import console
from clipgan.base.secrets import without_passwords
from clipgan.base.text import first_line
from clipgan.tracking.file_sender import LONGEST_RETRY, RETRY, FileSender
from clipgan.tracking.mlflow_files import File, name
from clipgan.tracking.mlflow_run import MlflowRun, Record, is_refusal, may_be_lost

PATIENCE = 30.0  # seconds that a finished run waits for an unreachable MLflow
HURRY = 5.0  # seconds that an interrupted or failed run waits for MLflow
MAX_NAMES = 6  # files that one line names


class Sink:
    """A queue of records and a thread that sends them, beside the thread for files.

    A failed record is sent again with the next one, or after a growing pause. The run's status follows the last record,
    and waits for no file. The threads are daemons, so they never delay the end of the process.
    """

    def __init__(self, run: MlflowRun) -> None:
        self._run = run
        self._records: deque[Record] = deque()  # others append at the right; only the thread removes items
        self._news = threading.Event()  # set by a new record, a lost run, and the end of the run
        self._end: tuple[str, Mapping[str, str]] | None = None  # status and tags, once the run has ended
        self._away = False  # whether the last try failed
        self._given_up = False
        self._ended = False  # whether MLflow has the run's status
        self._said: set[str] = set()
        self._files = FileSender(run, self._say, self._news.set)
        self._thread = threading.Thread(target=self._work, name="MLflow", daemon=True)
        self._thread.start()

    def put(self, item: Record | File) -> None:
        """Add an item, and return at once."""
        if isinstance(item, dict):
            self._records.append(item)
            self._news.set()
        else:
            self._files.put(item)

    def finish(self, status: str, tags: Mapping[str, str], in_a_hurry: bool) -> None:
        """Wait a while until all items have arrived; longer while MLflow accepts items, unless `in_a_hurry`."""
        self._end = status, tags
        self._news.set()
        deadline = time.monotonic() + (PATIENCE if status == "FINISHED" else HURRY)
        self._thread.join(PATIENCE if status == "FINISHED" else HURRY)
        while self._thread.is_alive() and not (self._away or in_a_hurry):  # for a slow network
            self._thread.join(RETRY)
        if self._ended:
            self._files.thread.join(max(0.0, deadline - time.monotonic()))
            while self._files.thread.is_alive() and not (self._files.failing or in_a_hurry):  # for a large model
                self._files.thread.join(RETRY)
        self._given_up = True
        self._files.give_up()
        self._say_what_is_missing()

    def _say_what_is_missing(self) -> None:
        left, where = self._files.left, self._run.run_dir
        if not self._ended:
            console.print(
                f"MLflow lacks {len(self._records) + len(left)} items and the run's status: they are only in {where}; "
                f"when MLflow answers, the same command with hydra.run.dir={where} sends them"
            )
        elif left:
            more = f" and {len(left) - MAX_NAMES} more files" if len(left) > MAX_NAMES else ""
            names = ", ".join(map(name, left[:MAX_NAMES]))
            console.print(
                f"MLflow lacks {names}{more}: only {where} has them; when MLflow can store them, "
                f"the same command with hydra.run.dir={where} sends them"
            )

    def _work(self) -> None:
        pause, last_try = RETRY, False
        while not self._given_up:
            self._news.clear()
            end = self._end
            try:
                self._send_records()
                if end is not None:
                    self._close(*end)
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
                self._news.wait()

    def _close(self, status: str, tags: Mapping[str, str]) -> None:
        try:
            self._run.end(status, tags)
        except Exception as error:
            if not self._is_lost(error):
                raise
            self._send_records()
            self._run.end(status, tags)
        self._ended = True
        self._files.end()  # not before: a run that proves lost only now has a successor, which gets the files again

    def _send_records(self) -> None:
        while self._run.run_id is None or self._records:
            if self._run.run_id is None:
                self._open()
                continue
            record = self._records[0]
            try:
                self._run.send(record)
            except Exception as error:
                if self._is_lost(error):
                    continue
                if not is_refusal(error):
                    raise
                self._drop_metric(record, error)
            else:
                self._records.popleft()
            self._away = False

    def _is_lost(self, error: Exception) -> bool:
        """Whether a call failed because MLflow no longer has the run."""
        run_id = self._run.run_id
        return run_id is None or (may_be_lost(error) and self._run.is_lost(run_id))

    def _open(self) -> None:
        if self._run.resumed:
            self._records.clear()  # the file has them too, and `open` returns all records of the file that MLflow lacks
        records, pictures = self._run.open()
        if self._run.about.parent_run_id is None:  # a sweep has printed the address of its trials
            self._say("page", f"to watch its metrics: {self._run.page}")
        self._records.extendleft(reversed(records))
        self._files.opened(pictures)

    def _drop_metric(self, record: Record, error: Exception) -> None:
        """Drop a record that MLflow will never accept; of several metrics, drop only the refused one."""
        self._records.popleft()
        metrics = [key for key in record if key not in ("step", "time")]
        if len(metrics) > 1:
            common = {"step": record["step"], "time": record["time"]}
            self._records.extendleft({**common, key: record[key]} for key in reversed(metrics))
        else:
            reason = first_line(error)
            self._say(reason, f"MLflow does not take {metrics[0]} ({reason}); it is in {self._run.run_dir} only")

    def _say(self, about: str, line: str) -> None:
        """Print a line, unless an earlier line was about the same thing."""
        if about not in self._said:
            self._said.add(about)
            console.print(without_passwords(line))
