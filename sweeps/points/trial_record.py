"""What is known of a trial, as tables and reports show it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from sweeps.points.search_space import Value, point_id

JOB = "job."  # prefix of the attributes that a job sets
OBJECTIVE_SD = "objective_sd"  # one of them: the standard deviation of measuring the same first objective anew


def objective_sds(attributes: Iterable[Mapping[str, Any]]) -> list[float]:
    """What the jobs of several trials have told of it; 0 where one has told nothing."""
    return [float(each.get(OBJECTIVE_SD) or 0.0) for each in attributes]


@dataclass(frozen=True)
class TrialRecord:
    """What is known of a trial."""

    number: int
    state: str  # WAITING | RUNNING | COMPLETE | PRUNED | FAIL
    point: Mapping[str, Value]
    value: float | None = None  # the first objective, or where it was pruned
    steps: Mapping[int, float] = field(default_factory=dict)  # step -> reported value
    attributes: Mapping[str, Any] = field(default_factory=dict)  # set by the job
    reason: str | None = None
    run_dir: str | None = None
    replica: int = 0  # number of its seed: the config's own seed plus this
    values: tuple[float, ...] = ()  # all objectives of a complete trial
    origin: str | None = None  # STUDY#NUMBER of a trial taken over from another study
    system: Mapping[str, Any] = field(default_factory=dict)  # what Optuna's samplers and pruners keep with it
    started: datetime | None = None  # by the clock of the host that ran it
    ended: datetime | None = None
    overrides: tuple[str, ...] = ()  # of the point and of the seed
    run: int = 0  # number of its run directory
    attempt: int = 0  # how often its task has crashed before
    requeued: bool = False  # it failed, and its task was queued again


def task_id(point: Mapping[str, Value], replica: int) -> str:
    """One text for one point with one of its seeds."""
    return f"{point_id(point)}#{replica}"


def trial_task_id(trial: FrozenTrial) -> str:
    """The same of Optuna's trial."""
    return task_id(trial.user_attrs["point"], trial.user_attrs.get("replica", 0))


def record_of(trial: FrozenTrial) -> TrialRecord:
    """Read Optuna's trial."""
    attributes = trial.user_attrs
    return TrialRecord(
        number=trial.number,
        state=trial.state.name,
        point=attributes["point"],
        replica=attributes.get("replica", 0),
        value=trial.values[0] if trial.values else None,
        values=tuple(trial.values) if trial.values and trial.state == TrialState.COMPLETE else (),
        steps=dict(sorted(trial.intermediate_values.items())),
        attributes={key.removeprefix(JOB): attributes[key] for key in attributes if key.startswith(JOB)},
        reason=attributes.get("reason"),
        run_dir=attributes.get("run_dir"),
        origin=attributes.get("origin"),
        system=trial.system_attrs,
        started=trial.datetime_start,
        ended=trial.datetime_complete,
        overrides=tuple(attributes["overrides"]),
        run=attributes["run"],
        attempt=attributes.get("attempt", 0),
        requeued=attributes.get("requeued", False),
    )
