"""Send a run's files to MLflow from a thread of their own, so that records never wait for a file."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from clipgan.base.text import first_line, without_addresses
from clipgan.tracking.mlflow_files import File, Picture, name, path_of
from clipgan.tracking.mlflow_run import MlflowRun, is_refusal

RETRY, LONGEST_RETRY = 1.0, 60.0  # seconds between two tries: the first pause, and the longest one; pauses double


class FileSender:
    """A queue of files, and a thread that sends them while the run is open.

    A file that MLflow cannot store waits until all others have been tried. The thread is a daemon, so it never delays
    the end of the process.
    """

    def __init__(self, run: MlflowRun, say: Callable[[str, str], None], lost: Callable[[], None]) -> None:
        """
        Args:
            run: where files go, once it is open.
            say: prints a line (second argument), unless an earlier line was about the same thing (the first).
            lost: called when MLflow no longer has the run, which must then be opened again.
        """
        self._run, self._say, self._lost = run, say, lost
        self._waiting: list[File] = []  # guarded by the lock, like `_sent` and `_current`
        self._sent: list[File] = []
        self._current: File | None = None
        self._lock = threading.Lock()
        self._news = threading.Event()  # a new file, an open run, the end
        self._ended = self._given_up = False
        self.failing = False  # whether the last try failed
        self.thread = threading.Thread(target=self._work, name="MLflow files", daemon=True)
        self.thread.start()

    @property
    def left(self) -> list[File]:
        """The files that MLflow lacks."""
        with self._lock:
            return ([] if self._current is None else [self._current]) + self._waiting

    def put(self, file: File) -> None:
        """Add a file, and return at once."""
        with self._lock:
            self._waiting.append(file)
        self._news.set()

    def opened(self, missing: Sequence[Picture]) -> None:
        """The run is open: first with pictures of an earlier process, later in place of a run that was lost."""
        with self._lock:
            again = {picture.path for picture in missing}
            self._waiting = [file for file in self._sent + self._waiting if path_of(file) not in again] + list(missing)
            self._sent.clear()
        self._news.set()

    def end(self) -> None:
        """Try each file once more, and then stop."""
        self._ended = True
        self._news.set()

    def give_up(self) -> None:
        """Try no further file."""
        self._given_up = True
        self._news.set()

    def _work(self) -> None:
        pause = RETRY
        while not self._given_up:
            self._news.clear()
            ended = self._ended
            away = self._run.run_id is None or not self._try_each()
            if ended and not away:
                self._give_up_models()
                return
            if away and self._run.run_id is None:
                self._news.wait()  # until it is open
            else:
                self._news.wait(pause if self.left else None)
                pause = min(2 * pause, LONGEST_RETRY) if self.left else RETRY

    def _try_each(self) -> bool:
        """Try each file once; returns whether MLflow answered, and has the run."""
        for _ in range(len(self.left)):
            run_id = self._run.run_id
            if run_id is None or self._given_up:
                return False
            with self._lock:
                self._current = file = self._waiting.pop(0)
            try:
                self._run.send_file(run_id, file)
            except Exception as error:  # a training must survive any error of a driver, a transport or a disk
                answers = self._after(error, run_id, file)
            else:
                self.failing, answers = False, True
                if self._run.run_id == run_id:
                    self._leave(file, sent=True)
                else:
                    self._leave_for_the_next_run(file)
            if not answers:
                return False
        return True

    def _after(self, error: Exception, run_id: str, file: File) -> bool:
        """Keep, or drop, a file that could not be sent; returns whether MLflow answers, and has the run."""
        self.failing, path, reason = True, path_of(file), first_line(error)
        try:
            lost = self._run.is_lost(run_id)
        except Exception:  # MLflow does not answer: the sink says so
            self._leave(file, sent=False)
            return False
        if lost:
            self._leave_for_the_next_run(file)
            self._lost()
            return False
        if is_refusal(error) or (path is not None and not path.exists()):
            self._say(reason, f"MLflow does not take {name(file)} ({reason}); it is in {self._run.run_dir} only")
            self._leave(None, sent=False)
        else:  # only MLflow's store of files fails
            self._leave(file, sent=False)
            about = f"store {without_addresses(reason)}"
            self._say(about, f"MLflow cannot store {name(file)} ({reason}); it is tried again")
        return True

    def _leave_for_the_next_run(self, file: File) -> None:
        """Keep a file for the run that replaces a lost one; that run gets all pictures anyway."""
        self._leave(None if isinstance(file, Picture) else file, sent=False)

    def _give_up_models(self) -> None:
        for file in self.left:
            with suppress(Exception):  # any error of a driver or transport
                self._run.give_up(file)

    def _leave(self, file: File | None, sent: bool) -> None:
        """End the work on the current file, which goes back into the queue unless it was sent or is None."""
        with self._lock:
            self._current = None
            if file is not None:
                (self._sent if sent else self._waiting).append(file)
