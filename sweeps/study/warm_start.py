"""Complete trials of earlier studies, taken over into a study as known results."""

import copy
from collections.abc import Callable, Iterator, Sequence

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from sweeps.base.errors import SweepError
from sweeps.points.search_space import Space, Value, conform, name_of
from sweeps.points.trial_record import JOB, task_id, trial_task_id
from sweeps.search.plan import Plan
from sweeps.study.queue import Queue
from sweeps.study.stored_study import StudyFamily, distribution_of


def take_over(
    storage: RDBStorage, name: str, plan: Plan, family: StudyFamily, queue: Queue, say: Callable[[str], None]
) -> None:
    """Add the complete trials of study `name` whose points the plan accepts to the newest study of a family.

    Raises:
        SweepError: see `complete_trials`.
    """
    directions = [direction.name.lower() for direction in family.study.directions]
    found = [t for t in complete_trials(storage, name, directions) if plan.source.accepts(t.user_attrs["point"])]
    new = [trial for trial in found if trial_task_id(trial) not in queue.trials.newest]
    for trial in new:
        family.study.add_trial(taken_over(trial, family.space))
    queue.refresh()
    say(f"{len(new)} complete trials of study {name} are taken over; {len(found) - len(new)} were known")


def complete_trials(storage: RDBStorage, name: str, directions: Sequence[str]) -> Iterator[FrozenTrial]:
    """The newest complete trial of each task of a study, its successors included, with `point` and `replica` noted.

    Raises:
        SweepError: there is no such study, or it has other directions.
    """
    names = optuna.get_all_study_names(storage)
    if name not in names:
        there = ", ".join(names) or "none"
        raise SweepError(f"hydra.sweeper.warm_start: there is no study {name}; those there are: {there}")
    study = optuna.load_study(study_name=name, storage=storage)
    while (successor := study.user_attrs.get("successor")) is not None:
        study = optuna.load_study(study_name=successor, storage=storage)
    theirs = [direction.name.lower() for direction in study.directions]
    if theirs != list(directions):
        both = f"{','.join(theirs)}, this one {','.join(directions)}"
        raise SweepError(f"hydra.sweeper.warm_start: the direction of study {name} is {both}")
    newest = {}
    for trial in study.get_trials(states=(TrialState.COMPLETE,)):
        if "point" not in trial.user_attrs:  # another tool's
            trial.user_attrs["point"] = {axis: _value(value) for axis, value in trial.params.items()}
        trial.user_attrs.setdefault("replica", 0)
        trial.user_attrs.setdefault("origin", f"{study.study_name}#{trial.number}")
        newest[task_id(trial.user_attrs["point"], trial.user_attrs["replica"])] = trial
    yield from newest.values()


def taken_over(trial: FrozenTrial, space: Space) -> FrozenTrial:
    """A trial from `complete_trials` as one of a study with this space; it has no run of its own."""
    copied = copy.copy(trial)
    notes = trial.user_attrs
    point = conform(notes["point"], space)
    copied.params = dict(point)
    copied.distributions = {axis: distribution_of(space[axis]) for axis in point}
    kept = {key: notes[key] for key in notes if key in ("replica", "origin", "run_dir") or key.startswith(JOB)}
    overrides = notes.get("overrides") or [f"{axis}={name_of(value)}" for axis, value in point.items()]
    copied.user_attrs = {**kept, "point": point, "overrides": overrides, "run": -1}
    copied.system_attrs = {}
    return copied


def _value(value: object) -> Value:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
