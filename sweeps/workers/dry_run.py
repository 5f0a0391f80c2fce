"""Print a sweep's plan and its cost, from the speed of earlier trials; only on request does a short job measure it."""

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna
from hydra.plugins.launcher import Launcher
from optuna.storages import RDBStorage

from clipgan.base.text import counted
from sweeps.base.errors import SweepError
from sweeps.base.even_choice import evenly
from sweeps.command.request import Request
from sweeps.display.progress import EventLines, clock
from sweeps.points.search_space import Point, job_overrides, space_of
from sweeps.points.trial_record import TrialRecord, results_of_each_task
from sweeps.search.plan import Grid, Plan
from sweeps.study.claims import SweepStudy
from sweeps.study.storage import absolute_url, is_made, open_storage
from sweeps.study.stored_study import current_name, load_study, records_of, refuse_another
from sweeps.study.warm_start import complete_trials
from sweeps.workers.launch import Launch
from sweeps.workers.machine import fitting_workers
from sweeps.workers.worker import Worker

MAX_SHOWN = 50  # tasks
MAX_COMPOSED = 100  # tasks whose configuration is composed, in some 10 ms each

Pace = tuple[float | None, str]


@dataclass
class DryRun:
    """Prints the remaining tasks of a plan, and how long they will take."""

    request: Request
    make_launcher: Callable[[], Launcher]
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        self.settings, self.plan = self.request.settings, self.request.plan

    def tell(self) -> None:
        """Say it all.

        Raises:
            SweepError: the command would not go on with the study, or there is no study to take trials over from.
        """
        study, url = self.request.study_name, absolute_url(self.settings.storage)
        storage = open_storage(url) if is_made(url) else None
        name = None if storage is None else current_name(storage, study)
        records: list[TrialRecord] = []
        if storage is not None and name is not None:
            refuse_another(load_study(storage, name), study, self.settings.directions, self.request.identity)
            records = _records(storage, name)
        for known in self.settings.warm_start:
            if storage is None:
                raise SweepError(f"hydra.sweeper.warm_start: there is no study {known}, and no database yet")
            complete_trials(storage, known, self.settings.directions)
        newest = [record.latest for record in records]
        again = [r for r in newest if r.state in self.settings.retried and self.plan.wants(r) and r.origin is None]
        n_open = self.plan.n_open(records) + len(again)
        self.say(f"dry run of study {name or study}: {counted(len(self.plan), 'trial')}, {n_open} left to run")
        waiting = [r for r in records if r.state == "WAITING" and self.plan.wants(r)]
        due = [*again, *waiting, *self.plan.more(records)]
        for run, task in enumerate(due[:MAX_SHOWN], start=len(records)):
            self.say(f"  {self.plan.label(task, run)}")
        if n_open > min(len(due), MAX_SHOWN):
            later = "more" if len(due) > MAX_SHOWN else "that are chosen as results come in"
            self.say(f"  and {n_open - min(len(due), MAX_SHOWN)} {later}")
        if due:
            self.say(self._cost(n_open, self._lengths(due), *self._pace(storage, records, due[0])))

    def _lengths(self, due: Sequence[TrialRecord]) -> list[int]:
        """The last steps of an even choice of the tasks, which an axis may change; empty if one is not known."""
        request, found = self.request, []
        for task in evenly(due, MAX_COMPOSED):
            overrides = job_overrides(request.axes, request.fixed, task.overrides)
            length = request.composition.max_step_at(overrides)
            if length is None:
                return []
            found.append(length)
        return found

    def _cost(self, n_open: int, lengths: Sequence[int], pace: float | None, source: str) -> str:
        name = self.settings.step_name
        if pace is None or not lengths:
            return f"cost: unknown ({source if lengths else 'hydra.sweeper.max_step is not set'})"
        low, high = min(lengths), max(lengths)
        steps = f"{low}" if low == high else f"{low} to {high}"
        trial = pace * statistics.fmean(lengths)
        workers = min(fitting_workers(self.settings), max(1, n_open))
        return (
            f"cost: {steps} {name} x {pace:.3g} s/{name} ({source}) = {clock(trial)} a trial without its evaluation"
            f"{'' if low == high else ', on average'}; {counted(n_open, 'trial')}, {workers} at a time:"
            f" {clock(trial * n_open / workers)}"
        )

    def _pace(self, storage: RDBStorage | None, records: Sequence[TrialRecord], task: TrialRecord) -> Pace:
        """Seconds for a step, and the source of that figure."""
        if paces := self._paces(records):
            return statistics.median(paces), f"median of {counted(len(paces), 'trial')} of this study"
        if storage is not None:
            for study in optuna.get_all_study_summaries(storage):
                identity = study.user_attrs.get("identity")
                if identity is None or not self._runs_the_same(identity):
                    continue
                if paces := self._paces(_records(storage, study.study_name)):
                    source = f"median of {counted(len(paces), 'trial')} of study {study.study_name}"
                    return statistics.median(paces), source
        if self.settings.dry_run != "measure":
            return None, "no trial has reported its speed; hydra.sweeper.dry_run=measure runs a short job to find it"
        return self._measured(task)

    def _runs_the_same(self, theirs: Mapping[str, Any]) -> bool:
        """Whether a study has the axes and the settings of this one, but for the length: `kimg`, `epochs`."""
        ours, unit = self.request.identity, self.settings.step_name
        there, here = (
            {key: value for key, value in identity.get("config", {}).items() if key not in (unit, f"{unit}s")}
            for identity in (theirs, ours)
        )
        return theirs.get("axes") == ours["axes"] and there == here

    def _paces(self, records: Sequence[TrialRecord]) -> list[float]:
        found = [record.attributes.get(f"sec_per_{self.settings.step_name}") for record in records]
        return [float(pace) for pace in found if pace is not None]

    def _measuring_overrides(self) -> str:
        return " ".join(self.settings.dry_run_overrides) or "all of its own settings"

    def _measured(self, task: TrialRecord) -> Pace:
        """Run a short job of the first task, with a study and a folder of its own, which it removes."""
        self.say(f"measuring the speed: a job runs with {self._measuring_overrides()}")
        with tempfile.TemporaryDirectory() as folder:
            overrides = (*task.overrides[: len(task.point)], *self.settings.dry_run_overrides)
            point = Point(task.point, overrides, distributions=task.distributions)
            identity = self.request.identity
            study = SweepStudy(f"sqlite:///{folder}/s.db", "dry", self.settings.directions, identity, self.say)
            short = Plan(Grid([point]))
            study.enqueue(short, space_of(self.request.axes))
            self.request.composition.move_to(folder)
            view = EventLines(lambda line: None, short)
            launch = Launch(study, replace(self.request, plan=short), self.make_launcher(), None, self.say)
            Worker(launch, view).work()
            [record] = study.records()
            open_storage.cache_clear()  # its file disappears with the folder
        if paces := self._paces([record]):
            return paces[0], f"measured with {self._measuring_overrides()}"
        return None, record.reason or f"the job has set no sec_per_{self.settings.step_name}"


def _records(storage: RDBStorage, name: str) -> list[TrialRecord]:
    """Read the trial of each task of a study whose result counts."""
    return results_of_each_task(records_of(load_study(storage, name)))
