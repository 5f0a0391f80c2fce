"""Copy complete trials of earlier studies into a study, as known results."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeps.base.errors import SweepError
from sweeps.points.search_space import Value
from sweeps.points.trial_record import DIFFERS, JOB, NAMES, OWN, SOURCES, TrialRecord, newest_of_each_task
from sweeps.search.plan import Plan
from sweeps.study.queue import Queue
from sweeps.study.stored_study import StoredStudy, current_name, directions_of, load_study, records_of


def take_over(
    storage: RDBStorage, name: str, plan: Plan, study: StoredStudy, queue: Queue, say: Callable[[str], None]
) -> None:
    """Copy the complete trials of study `name` into `study`, if the plan accepts their points.

    Raises:
        SweepError: see `complete_trials`.
    """
    known = _known_study(storage, name, directions_of(study.study))
    differs = _differences(known, study.study)
    found = [record for record in _complete(known) if plan.source.accepts(record.point)]
    new = [record for record in found if record.task not in queue.trials.newest]
    points, distributions = study.conforming([record.point for record in new]), study.distributions()
    pairs = zip(new, points, strict=True)
    queue.add([_copy(record, point, {**record.distributions, **distributions}, differs) for record, point in pairs])
    said = f"{len(new)} complete trials of study {name} are taken over; {len(found) - len(new)} were known"
    say(f"{said}; that study differs: {'; '.join(differs)}" if differs and found else said)


def _differences(theirs: optuna.Study, ours: optuna.Study) -> list[str]:
    """The settings, besides the axes, in which a study differs from this one; those that one of them lacks are new."""
    there, here = (study.user_attrs.get("identity", {}).get("config", {}) for study in (theirs, ours))
    return [f"{key}={there[key]}, here {here[key]}" for key in sorted({*there} & {*here}) if there[key] != here[key]]


def complete_trials(storage: RDBStorage, name: str, directions: Sequence[str]) -> list[TrialRecord]:
    """Read the newest complete trial of each task of a study; each record names its origin.

    Raises:
        SweepError: no study has this name, or its directions differ.
    """
    return _complete(_known_study(storage, name, directions))


def _known_study(storage: RDBStorage, name: str, directions: Sequence[str]) -> optuna.Study:
    known = current_name(storage, name)
    if known is None:
        there = ", ".join(optuna.get_all_study_names(storage)) or "none"
        raise SweepError(f"hydra.sweeper.warm_start: there is no study {name}; the storage has: {there}")
    study = load_study(storage, known)
    if directions_of(study) != tuple(directions):
        both = f"{','.join(directions_of(study))}, this one {','.join(directions)}"
        raise SweepError(f"hydra.sweeper.warm_start: the direction of study {name} is {both}")
    return study


def _complete(study: optuna.Study) -> list[TrialRecord]:
    complete = newest_of_each_task(record for record in records_of(study) if record.state == "COMPLETE")
    return [replace(record, origin=record.origin or f"{study.study_name}#{record.label}") for record in complete]


def _copy(
    record: TrialRecord, point: dict[str, Value], distributions: dict[str, BaseDistribution], differs: list[str]
) -> FrozenTrial:
    """Convert another study's trial for this study; the copy has no run of its own."""
    kept = {"replica": record.replica, "origin": record.origin, "run_dir": record.run_dir}
    trial = create_trial(
        state=TrialState.COMPLETE,
        values=list(record.values),
        params=point,
        distributions={name: distributions[name] for name in point},
        user_attrs={
            OWN: point,
            "overrides": list(record.overrides),
            "run": -1,
            **{name: value for name, value in kept.items() if value is not None},
            **{f"{JOB}{name}": value for name, value in record.attributes.items()},
            NAMES: dict(record.names),
            **({} if record.sources is None else {SOURCES: record.sources.as_note()}),
            **({DIFFERS: told} if (told := list(dict.fromkeys([*record.differs, *differs]))) else {}),
        },
        intermediate_values=dict(record.steps),
    )
    trial.datetime_start, trial.datetime_complete = record.started, record.ended
    return trial
