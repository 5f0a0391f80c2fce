"""Run any task: do its steps, take snapshots (metrics and a checkpoint), and resume from the last checkpoint.

A task defines its step and its measurement; its schedule defines its unit (kimg, epochs).
"""

import math
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from clipgan.base.cache import digest
from clipgan.base.console import console
from clipgan.base.device import readable_name
from clipgan.base.distributed import any_process, rank
from clipgan.base.errors import DivergenceError, Interrupted, UserError
from clipgan.base.memory import peak_memory
from clipgan.base.text import first_line, shown_path
from clipgan.base.unread_files import BackgroundCheck
from clipgan.config import Config, MlflowConfig, flatten, plain
from clipgan.config.identity import CHOOSE_SOURCES, is_listed
from clipgan.config.reading import write_yaml
from clipgan.engine.checkpointing import Checkpointing
from clipgan.engine.history import History
from clipgan.engine.interruption import Interruption
from clipgan.engine.progress import RunStatus, follow, summary
from clipgan.engine.result import Report, Result
from clipgan.engine.same_run import refuse_longer
from clipgan.engine.schedule import Schedule
from clipgan.engine.task import Task
from clipgan.tracking import provenance
from clipgan.tracking.log import Log
from clipgan.tracking.run_description import Origin, RunDescription, description, run_name, to_compare, to_show
from clipgan.tracking.run_log import RunLog


class Run(Task):
    """One run; a task's subclass implements the abstract methods."""

    name: str  # a readable name; set when the run begins

    def __init__(
        self, config: Config, run_dir: Path, device: torch.device, report: Report | None, schedule: Schedule
    ) -> None:
        self.config, self.run_dir, self.device, self.report, self.schedule = config, run_dir, device, report, schedule
        torch.set_flush_denormal(True)  # on a CPU, multiplying denormal gradients is about 25 times slower
        self.history = History(self.maximised)
        self.checkpoints = Checkpointing(config, run_dir)
        self.interruption = Interruption()
        self.stopped = False  # whether the report has stopped the run
        self.over = False  # whether the length or the seconds are reached
        self.cache_check = BackgroundCheck()

    def run(self, origin: Origin) -> Result:
        """Train to the schedule's end, or until the report stops the run, and return the result."""
        self.announce()
        self.name = run_name(self.config, origin.swept)
        resumed_at = self._resume()
        if origin.tell_names is not None and rank() == 0:  # a run that cannot resume leaves earlier names and values
            origin.tell_names(self.key, self.names)
        if origin.tell_sources is not None and rank() == 0:
            chosen = {key: value for key, value in flatten(self.config).items() if is_listed(key, CHOOSE_SOURCES)}
            content = {key: value for key, value in self.sources.items() if key != "data.fingerprint"}
            origin.tell_sources(digest(chosen), content)
        # signals are caught also while MLflow opens or takes the last metrics
        with self.interruption.heeding(), self.cache_check if rank() == 0 else nullcontext():
            self._train(self._log(origin, resumed_at), resumed_at)
        if rank() == 0:
            further = [] if origin.swept else [*self.further(origin), *to_compare(self._mlflow)]
            console.print("\n".join(summary(self._status(), self.stopped, further)))
        return self._result()

    @property
    def _mlflow(self) -> MlflowConfig:
        """Where MLflow is; nowhere if `log` leaves it out."""
        config = self.config
        return config.mlflow if "mlflow" in config.log else replace(config.mlflow, tracking_uri=None)

    def _log(self, origin: Origin, resumed_at: int | None) -> Log:
        """Open the run's log; only the first process writes it."""
        if rank() > 0:
            return Log()
        text = description(self.config, origin, self.key)
        data = self.config.data.name, self.sources["data.fingerprint"]
        record = provenance.describe(readable_name(self.device))
        provenance.write(record, self.run_dir, continues=resumed_at is not None)
        about = RunDescription(self.name, text, origin.parent_run_id, data, self.key, provenance.tags(record))
        params = to_show(flatten(self.config) | self.params(), origin.swept)
        tensorboard = "tensorboard" in self.config.log
        return RunLog(
            self.run_dir,
            self._mlflow,
            about,
            params,
            resumed_at,
            self.history.records,
            tensorboard,
            forget=self.config.resume == "none",
        )

    def _train(self, log: Log, resumed_at: int | None) -> None:
        status = "FAILED"
        try:
            if rank() == 0:
                log.artifact(write_yaml(self.config, self.run_dir / "config.yaml"))
            if resumed_at is None:
                self._snapshot(log, 0, self.first_values(), last=False)
            self._steps(log)
            if not self.stopped:
                self.finish(log)
            status = "KILLED" if self.stopped else "FINISHED"  # so that comparisons of finished runs leave it out
        except (KeyboardInterrupt, SystemExit, Interrupted):
            status = "KILLED"
            raise
        finally:
            log.finish(status, pruned=self.stopped)

    def _steps(self, log: Log) -> None:
        state, history, total = self.state, self.history, self.schedule.total_steps
        self.interruption.silent = console.is_terminal
        history.since_record.restart()  # leave out the seconds in which a resumed run opened its log
        at_record = not history.since_record.steps
        self.over = state.step == total or (at_record and self._time_is_up(history.recorded_units))
        try:
            if not (at_record or self.stopped):  # an interrupted process may have left this snapshot out
                self._after_step(log)
            for step in follow(range(state.step, total), self._status):
                if self.stopped or self.over:
                    break
                history.since_record.add(self.step(step))
                self._after_step(log)
                if not (self.stopped or self.over):
                    self._between_snapshots()
        except Interrupted:
            self._save_interrupted()
            raise
        finally:
            self.interruption.silent = False
        self.stopped = self.stopped and not self.over

    def _after_step(self, log: Log) -> None:
        """Write a record if the step has finished a unit, and take a snapshot if one is due."""
        schedule, step = self.schedule, self.state.step
        before, units = schedule.units_done(step - 1), schedule.units_done(step)
        if units == before:
            return
        self._refuse_divergence(of_all=True)
        averages = self.history.since_record
        values = self.named(averages.means())
        values[f"sec_per_{schedule.unit}"] = averages.stop() / float(averages.steps * schedule.units_per_step)
        values["memory_gb"] = peak_memory(self.device)
        self.over = step == schedule.total_steps or self._time_is_up(units)
        if units // schedule.snapshot_every > before // schedule.snapshot_every or self.over:
            self._snapshot(log, units, values, last=self.over)
        else:
            self._record(log, units, values)

    def _time_is_up(self, units: int) -> bool:
        """Whether `seconds` end the run at this step; the first process's clock decides for all."""
        limit = self.config.seconds
        return limit is not None and any_process(rank() == 0 and self.history.is_nearest(units, limit))

    def _record(self, log: Log, units: int, values: dict[str, float]) -> None:
        log.metrics(units, values)
        self.history.record(units, values, log.lines())

    def _between_snapshots(self) -> None:
        """Write a checkpoint if one is due; all processes call this together.

        Raises:
            Interrupted: a signal has come.
            UserError: a file of the cache that the steps read is damaged.
        """
        self.interruption.check_together()
        self.cache_check.refuse_damage()
        if self.checkpoints.is_due():
            self._refuse_divergence(of_all=True)
            self.checkpoints.save_between(self._content())

    def _save_interrupted(self) -> None:
        """Write a checkpoint of the last step, unless it exists."""
        if self.state.step > self.checkpoints.last_step:
            self._refuse_divergence()  # check only this process: processes no longer wait for each other
            self.checkpoints.save_between(self._content())
        else:
            self.checkpoints.say()

    def _snapshot(self, log: Log, units: int, values: dict[str, float], last: bool) -> None:
        """Measure, record and save a checkpoint; the first process's report decides for all whether the run stops."""
        start, history = time.perf_counter(), self.history
        metrics = self._measured(units, last)
        objective = metrics[self.key]
        history.snapshots.append((units, objective))
        history.objective_sd = metrics.get(f"{self.key}_sd")
        history.figures = {
            short: metrics[name] for short, name in self.names.items() if name in metrics and name != self.key
        }
        metrics |= {f"{self.key}_best": history.best, "snapshot_seconds": time.perf_counter() - start}
        self._record(log, units, metrics | values)  # FID first: MLflow opens a comparison with the first metric
        for path in self.pictures(units):
            log.picture(path, units)
        self._say_snapshot(units, objective, values)
        # record before the checkpoint: after a kill in between, the run repeats this part and drops the record
        self.checkpoints.save_snapshot(units, self._content(), history.snapshots, self.maximised)
        self._ask_report([(units, objective)])
        history.since_record.restart()  # writing and sending files is not training time

    def _measured(self, units: int, last: bool) -> dict[str, float]:
        """Measure the metrics; raise DivergenceError if the objective is not finite."""
        with self.interruption.interruptible():
            metrics = self.measure(units, last)
            if not math.isfinite(metrics[self.key]):
                where = f"{self.key} is {metrics[self.key]} at {units} {self.schedule.unit}"
                raise DivergenceError(f"{where}; {self.checkpoints.last_good()}")
        return metrics

    def _say_snapshot(self, units: int, objective: float, values: dict[str, float]) -> None:
        unit = self.schedule.unit
        speed = f"  {values[f'sec_per_{unit}']:.2f} s/{unit}" if f"sec_per_{unit}" in values else ""
        console.print(f"{units:>6} {unit}  {self.key} {objective:.4g}  best {self.history.best:.4g}{speed}")

    def _ask_report(self, snapshots: list[tuple[int, float]]) -> None:
        """Report snapshots; the last answer decides whether the run stops.

        It never stops before its first step: it would have trained nothing, and have no speed.
        """
        if self.report:
            for units, objective in snapshots:
                self.stopped = bool(self.report(objective, units)) and units > 0
        self.stopped = any_process(self.stopped)

    def _refuse_divergence(self, of_all: bool = False) -> None:
        """Raise DivergenceError if a step has computed a value that is not finite."""
        fault = self.state.watch.fault(of_all)
        if fault is not None:
            raise DivergenceError(
                f"{fault.name} is not finite in step {fault.step + 1}; {self.checkpoints.last_good()}"
            )

    def _content(self) -> dict[str, Any]:
        """Collect the content of a checkpoint."""
        return {
            "state": self.state.state_dict(),
            **self.history.state_dict(),
            "config": plain(self.config),
            "sources": self.sources,
            **self.record(),
        }

    def _resume(self) -> int | None:
        """Load the checkpoint to resume from; return its units done, or None for a new run."""
        found = self.checkpoints.find(self.device, self.sources)
        if found is None:
            return None
        path, content = found
        try:
            self.state.load_state_dict(content["state"])
            self.history.load(content)
        except (KeyError, RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
            # a missing name, other shapes, other groups of Adam's, values of other types
            raise UserError(
                f"checkpoint {path} is of another version: its state does not fit this one ({first_line(error)}); "
                "resume=none starts over"
            ) from error
        further = self.schedule.why_beyond(self.state.step)
        further = further or self.history.why_beyond(self.config.seconds, content["config"].get("seconds"))
        refuse_longer(path, further)
        self.checkpoints.begin_from(found, self.state.step)
        units = self.history.recorded_units
        over = self.state.step == self.schedule.total_steps
        end = ": its end, so it is not trained again; resume=none starts over" if over else ""
        console.print(f"resumed at {units} {self.schedule.unit} from {path}, step {self.state.step}{end}")
        self._ask_report(self.history.snapshots)  # a killed process may not have reported the last one
        return units

    def _status(self) -> RunStatus:
        return RunStatus(
            self.name, shown_path(self.run_dir), self.schedule, self.key, self.maximised, self.state.step,
            self.history.seconds(), self.config.seconds, tuple(self.history.snapshots), dict(self.history.values),
            self.interruption.signal.name if self.interruption.signal else None,
        )  # fmt: skip

    def _result(self) -> Result:
        history = self.history
        objective = history.best if self.best_counts else history.snapshots[-1][1]
        deviation = None if self.best_counts else history.objective_sd  # the best of many snapshots varies differently
        speed = history.recorded_seconds / float(self.state.step * self.schedule.units_per_step)
        assert self.checkpoints.last is not None
        return Result(
            objective, self.schedule.unit, speed, self.stopped, deviation, self.run_dir, self.checkpoints.last,
            dict(history.figures),
        )  # fmt: skip
