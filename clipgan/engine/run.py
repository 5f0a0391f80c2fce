"""One run of any task: its steps, its snapshots with figures and checkpoint, and going on from the last of these.

A task says what a step and a measurement are; what it counts (kimg, epochs) is its schedule.
"""

import math
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clipgan.base.console import console
from clipgan.base.distributed import any_of, rank
from clipgan.base.errors import DivergenceError, Interrupted, UserError
from clipgan.base.memory import peak_memory
from clipgan.config import Config, flatten, plain
from clipgan.engine import run_files
from clipgan.engine.checkpoint import checkpoint_path, save_checkpoint
from clipgan.engine.history import History
from clipgan.engine.interruption import Interruption
from clipgan.engine.progress import RunStatus, follow, summary
from clipgan.engine.result import Report, Result
from clipgan.engine.schedule import Schedule
from clipgan.tracking.run_description import About, Origin, description, run_name, to_compare
from clipgan.tracking.run_log import RunLog, SilentLog


class Run(ABC):
    """One run; a task fills in what is abstract here."""

    key: str  # name of the figure that is the objective
    maximised: bool  # whether a higher one is better
    best_counts: bool  # whether the run's result is the best figure, not the last
    name: str  # for a person to read; once it runs
    state: Any  # what training changes: step (batches done), watch (a Watch), state_dict(), load_state_dict()
    sources: dict[str, Any]  # identity of data and encoders; their names are in the configuration

    def __init__(
        self, config: Config, run_dir: Path, device: torch.device, report: Report | None, schedule: Schedule
    ) -> None:
        self.config, self.run_dir, self.device, self.report, self.schedule = config, run_dir, device, report, schedule
        torch.set_flush_denormal(True)  # on a CPU, multiplying denormal gradients takes some 25 x as long
        self.history = History(self.maximised)
        self.interruption = Interruption()
        self.saved: Path | None = None  # the last checkpoint
        self.saved_step, self.saved_at = 0, time.monotonic()
        self.stopped = False  # by the report
        self.over = False  # by its length, or its seconds

    @abstractmethod
    def step(self, step: int) -> dict[str, Tensor]:
        """One optimisation step (0, 1, ...) and its values to log."""

    @abstractmethod
    def measure(self, mark: int, last: bool) -> dict[str, float]:
        """The figures of a snapshot, with `key` among them, the same in all processes; pictures too.

        Args:
            mark: where the run is.
            last: whether it ends here.
        """

    @abstractmethod
    def params(self) -> dict[str, Any]:
        """What a tracker is told beside the configuration."""

    @abstractmethod
    def first_values(self) -> dict[str, float]:
        """Figures of the data, which the record before the first step has."""

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """What a checkpoint says beside the state, as plain data."""

    @abstractmethod
    def announce(self) -> None:
        """Say what is about to run."""

    def artifacts(self, mark: int) -> list[Path]:
        """Files of a snapshot in the run directory that a tracker gets."""
        return []

    @abstractmethod
    def finish(self, log: RunLog) -> None:
        """Record what a run that has reached its end leaves."""

    @abstractmethod
    def further(self, origin: Origin) -> list[tuple[str, str]]:
        """Commands for what one may do next, and what each of them does."""

    def run(self, origin: Origin) -> Result:
        """Train to the schedule's end, or until the report says to stop, and return the figures."""
        self.announce()
        self.name = run_name(self.config, origin.swept)
        resumed_at = self._resume()
        params = flatten(self.config) | self.params()
        with self.interruption.heeding():  # also while MLflow opens, and takes the last figures
            log: RunLog = SilentLog()  # the first process alone writes
            if rank() == 0:
                log = RunLog(self.run_dir, self.config.mlflow, self._about(origin), params, resumed_at)
            self._train(log, afresh=resumed_at is None)
        if rank() == 0:
            further = [] if origin.swept else [*self.further(origin), *to_compare(self.config.mlflow)]
            said = "\n".join(summary(self._status(), self.stopped, further))
            console.print(said.replace(f"{Path.cwd()}/", ""), markup=False)
        objective = self.history.best if self.best_counts else self.history.snapshots[-1][1]
        deviation = None if self.best_counts else self.history.objective_sd  # a best of many varies otherwise
        speed = self.history.seconds / float(self.state.step * self.schedule.each)
        return Result(objective, self.schedule.unit, speed, self.stopped, deviation)

    def _about(self, origin: Origin) -> About:
        text = description(self.config, origin, self.key)
        data = self.config.data.name, self.sources["data.fingerprint"]
        return About(self.name, text, origin.parent_run_id, data)

    def _train(self, log: RunLog, afresh: bool) -> None:
        status = "FAILED"
        try:
            if rank() == 0:
                log.artifact(run_files.save_config(self.run_dir, self.config))
            if afresh:
                self._snapshot(log, 0, self.first_values(), last=False)
            self._steps(log)
            if not self.stopped:
                self.finish(log)
            status = "KILLED" if self.stopped else "FINISHED"  # a comparison of finished runs leaves it out
        except (KeyboardInterrupt, SystemExit, Interrupted):
            status = "KILLED"
            raise
        finally:
            log.finish(status, pruned=self.stopped)

    def _steps(self, log: RunLog) -> None:
        state, history, total = self.state, self.history, self.schedule.total
        self.interruption.silent = console.is_terminal
        history.since_record.restart()  # a run that goes on has been opening its log
        self.over = state.step == total or (not history.since_record.steps and self._time_is_up(history.mark))
        try:
            if history.since_record.steps and not self.stopped:  # a snapshot may have been interrupted
                self._after_step(log)
            for step in follow(range(state.step, total), self._status):
                if self.stopped or self.over:
                    break
                history.since_record.add(self.step(step))
                self._after_step(log)
                if not (self.stopped or self.over):
                    self._between_snapshots()
        except Interrupted:
            if state.step > self.saved_step:
                self._refuse_divergence()  # by itself: nobody waits for the others now
                self._save_latest()
            elif rank() == 0:
                console.print(f"checkpoint after step {self.saved_step}: {self.saved}", markup=False)
            raise
        finally:
            self.interruption.silent = False
        self.stopped = self.stopped and not self.over

    def _after_step(self, log: RunLog) -> None:
        """A record where the step has ended a unit, with a snapshot where one is due."""
        schedule, step = self.schedule, self.state.step
        before, mark = schedule.mark(step - 1), schedule.mark(step)
        if mark == before:
            return
        self._refuse_divergence(of_all=True)
        averages = self.history.since_record
        values = averages.means()
        values[f"sec_per_{schedule.unit}"] = averages.stop() / float(averages.steps * schedule.each)
        values["memory_gb"] = peak_memory(self.device)
        self.over = step == schedule.total or self._time_is_up(mark)
        if mark // schedule.every > before // schedule.every or self.over:
            self._snapshot(log, mark, values, last=self.over)
        else:
            self._record(log, mark, values)

    def _time_is_up(self, mark: int) -> bool:
        """Whether `seconds` end the run here; the first process's clock decides."""
        limit = self.config.seconds
        return limit is not None and any_of(rank() == 0 and self.history.is_nearest(mark, limit))

    def _record(self, log: RunLog, mark: int, values: dict[str, float]) -> None:
        log.metrics(mark, values)
        self.history.record(mark, values)

    def _between_snapshots(self) -> None:
        """A checkpoint where it is time for one, or a signal has come; for all processes at once.

        Raises:
            Interrupted: the latter.
        """
        self.interruption.check_together()
        minutes = self.config.checkpoint_minutes
        if minutes is not None and any_of(rank() == 0 and time.monotonic() - self.saved_at >= 60 * minutes):
            self._refuse_divergence(of_all=True)
            self._save_latest()

    def _save_latest(self) -> None:
        path = self.run_dir / run_files.LATEST
        self._save(path)
        if rank() == 0:
            console.print(f"checkpoint after step {self.state.step}: {path}", markup=False)

    def _snapshot(self, log: RunLog, mark: int, values: dict[str, float], last: bool) -> None:
        """Figures, checkpoint, and the record of them; the first process writes, and its verdict all have."""
        start, history, unit, key = time.perf_counter(), self.history, self.schedule.unit, self.key
        with self.interruption.at_once():
            measured = self.measure(mark, last)
            if not math.isfinite(measured[key]):
                raise DivergenceError(f"{key} is {measured[key]} at {mark} {unit}; {self._last_good()}")
        history.snapshots.append((mark, measured[key]))
        seconds = time.perf_counter() - start
        history.objective_sd = measured.get(f"{key}_sd")
        figures = measured | {f"{key}_best": history.best, "snapshot_seconds": seconds}
        self._record(log, mark, values | figures)
        for path in self.artifacts(mark):
            log.artifact(path)
        speed = f"  {values[f'sec_per_{unit}']:.2f} s/{unit}" if f"sec_per_{unit}" in values else ""
        console.print(f"{mark:>6} {unit}  {key} {measured[key]:.4g}  best {history.best:.4g}{speed}")
        # the record comes before the checkpoint: a kill in between repeats this stretch and drops the later record
        self._save(checkpoint_path(self.run_dir, mark))
        if rank() == 0:
            run_files.drop_latest(self.run_dir)
            config = self.config
            run_files.keep_only(self.run_dir, history.snapshots, config.keep_last, config.keep_best, self.maximised)
        if self.report:
            self.stopped = self.report(measured[key], mark) and mark > 0  # nothing is trained yet at 0
        self.stopped = any_of(self.stopped)
        history.since_record.restart()  # files have been written and sent

    def _save(self, path: Path) -> None:
        """The first process writes; the others know of it."""
        if rank() == 0:
            save_checkpoint(path, self._checkpoint())
        self.saved, self.saved_step, self.saved_at = path, self.state.step, time.monotonic()

    def _refuse_divergence(self, of_all: bool = False) -> None:
        """
        Raises:
            DivergenceError: what a step has computed is no number.
        """
        fault = self.state.watch.fault(of_all)
        if fault is not None:
            raise DivergenceError(f"{fault.name} is not finite in step {fault.step + 1}; {self._last_good()}")

    def _last_good(self) -> str:
        return "there is no checkpoint yet" if self.saved is None else f"the last good checkpoint is {self.saved}"

    def _checkpoint(self) -> dict[str, Any]:
        return {
            "state": self.state.state_dict(),
            **self.history.state_dict(),
            "config": plain(self.config),
            "sources": self.sources,
            **self.record(),
        }

    def _resume(self) -> int | None:
        """Take over the checkpoint that `config.resume` means; its mark, or None where there is none."""
        found = run_files.find(self.config.resume, self.run_dir, self.device)
        any_of(False)  # all have looked before the first one writes
        if found is None:
            if self.config.resume == "none":
                self._leave(None)
            return None
        path, checkpoint = found
        if not checkpoint["history"]:
            raise UserError(f"resume={path} holds weights and no training to go on with; init={path} starts from them")
        run_files.refuse_other_run(path, checkpoint["config"], self.config)
        if "sources" in checkpoint:  # earlier versions did not write them down
            run_files.refuse_differences(path, checkpoint["sources"], self.sources)
        if self.config.resume != "auto":
            self._leave(found)
        try:
            self.state.load_state_dict(checkpoint["state"])
            self.history.load(checkpoint)
        except (KeyError, RuntimeError, ValueError) as error:  # a name that is not there, shapes, groups of Adam's
            reason = str(error).splitlines()[0]
            raise UserError(f"checkpoint {path} is of another version: its state does not fit this one ({reason}); "
                            "resume=none starts afresh") from error  # fmt: skip
        self.saved, self.saved_step = path, self.state.step
        where = f"{self.history.mark} {self.schedule.unit} from {path}, step {self.state.step}"
        console.print(f"resumed at {where}", markup=False)
        if self.report:
            for known, figure in self.history.snapshots:  # a kill may have come before the last was reported
                self.stopped = self.report(figure, known) and known > 0
        self.stopped = any_of(self.stopped)
        return self.history.mark

    def _leave(self, begin: run_files.Found | None) -> None:
        """The first process moves another branch's checkpoints aside."""
        if rank() == 0:
            run_files.set_aside(self.run_dir, begin)

    def _status(self) -> RunStatus:
        here = Path.cwd()
        shown = self.run_dir.relative_to(here) if self.run_dir.is_relative_to(here) else self.run_dir
        return RunStatus(
            self.name, shown, self.schedule, self.key, self.maximised, self.state.step, self.history.spent(),
            self.config.seconds, tuple(self.history.snapshots), dict(self.history.values),
            self.interruption.signal.name if self.interruption.signal else None,
        )  # fmt: skip
