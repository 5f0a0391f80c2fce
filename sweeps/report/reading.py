"""From a storage to what a report is about. Nothing is written, and a running study is read as it is now."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clipgan.base.secrets import without_passwords
from sweeps.command.command_line import ATTRIBUTE, command_of
from sweeps.command.next_steps import best_checkpoint
from sweeps.points.metric_names import objective_names
from sweeps.points.ranking import Goal, PointResult, Ranking
from sweeps.points.trial_record import TrialRecord, results_of_each_task, with_axes_in_one_order, with_seed_as_replica
from sweeps.study.lookup import name_in, open_made, shown_url
from sweeps.study.moved import found_again
from sweeps.study.stored_study import (
    ABOUT,
    CODE,
    DEPENDENCIES,
    LOG_AXES,
    SLURM_JOBS,
    goal_of,
    load_study,
    records_of,
)


@dataclass(frozen=True)
class Sweep:
    """A study, and what its trials have in common."""

    name: str
    storage: str  # to be shown: without a password
    goal: Goal  # with the metrics' own names
    trials: tuple[TrialRecord, ...]  # those of each point and replica whose result counts, by number
    superseded: tuple[TrialRecord, ...]  # other trials of the same: interrupted, orphaned or retried
    note: Mapping[str, Any] | None  # of the command that runs it
    log_axes: tuple[str, ...] = ()  # drawn with a logarithmic scale
    dependencies: tuple[str, ...] = ()  # lines that say how axes depend on each other
    code: tuple[str, ...] = ()  # versions of the code that has run it, the newest last
    about: tuple[str, ...] = ()  # what the trials share, in a few words
    slurm_jobs: tuple[str, ...] = ()  # ids of the jobs that `hydra.sweeper.detach` has submitted
    shared: Mapping[str, Any] = field(default_factory=dict)  # the settings that the trials share

    @functools.cached_property
    def ranking(self) -> Ranking:
        """Its points in order."""
        return Ranking(self.trials, self.goal)

    @property
    def points(self) -> list[PointResult]:
        """The points with a complete trial, the best first."""
        return self.ranking.points

    @functools.cached_property
    def axes(self) -> tuple[str, ...]:
        """In order of appearance."""
        return tuple(dict.fromkeys(axis for trial in (*self.trials, *self.superseded) for axis in trial.point))

    @property
    def best_checkpoint(self) -> Path | None:
        """See `next_steps.best_checkpoint`; None if there is none."""
        found = best_checkpoint(self.ranking)
        return None if found is None else found[2]

    @property
    def title(self) -> str:
        """What was measured over which axes, and what trials share: `fid2k over h: loss=symmetric, shapes, 32px`."""
        over = f" over {', '.join(self.axes)}" if self.axes else ""
        shared = f": {', '.join(self.about)}" if self.about else ""
        return f"{', '.join(self.goal.names)}{over}{shared}"

    @property
    def objective(self) -> str:
        """The name of the first objective."""
        return self.goal.names[0]

    @property
    def aggregates(self) -> bool:
        """Whether something else than the mean of a point's replicas decides its place."""
        return self.goal.aggregate != "mean" and self.ranking.has_replicas

    def in_state(self, *states: str) -> list[TrialRecord]:
        """The trials in these states; without those of replicas that never started, as their point was pruned."""
        return [trial for trial in self.trials if trial.state in states and not trial.skipped]

    def command(self, trial: TrialRecord) -> str:
        """The command that runs a trial again, alone."""
        return without_passwords(command_of(self.note, trial.overrides))


def read(storage: str, study: str | None) -> Sweep:
    """A study by its name, or the only one there is.

    Raises:
        SweepError: the storage cannot be used or there is no such study; the message lists those there are.
    """
    database = open_made(storage)
    found = load_study(database, name_in(database, study))
    goal = goal_of(found)
    goal = replace(goal, names=objective_names(goal.names, records_of(found)))
    trials = [with_seed_as_replica(record, goal.seed_key) for record in found_again(records_of(found), database.url)]
    trials = with_axes_in_one_order(trials)
    counting = results_of_each_task(trials)
    numbers = {trial.number for trial in counting}
    identity = found.user_attrs.get("identity", {})
    return Sweep(
        name=found.study_name,
        storage=shown_url(database.url),
        goal=goal,
        trials=tuple(counting),
        superseded=tuple(trial for trial in trials if trial.number not in numbers),
        note=found.user_attrs.get(ATTRIBUTE),
        log_axes=(*found.user_attrs.get(LOG_AXES, ()), *_log_axes(trials)),
        dependencies=tuple(found.user_attrs.get(DEPENDENCIES, ())),
        code=tuple(found.user_attrs.get(CODE, ())),
        about=tuple(found.user_attrs.get(ABOUT, ())),
        slurm_jobs=tuple(found.user_attrs.get(SLURM_JOBS, ())),
        shared={key: without_passwords(str(value)) for key, value in identity.get("config", {}).items()},
    )


def _log_axes(trials: Sequence[TrialRecord]) -> list[str]:
    """The axes that the trials themselves have as logarithmic: those of `custom_search_space`."""
    axes = {axis: None for t in trials for axis, own in t.distributions.items() if getattr(own, "log", False)}
    return list(axes)
