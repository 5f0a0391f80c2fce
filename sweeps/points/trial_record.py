"""The record of a trial, which the queue, the table, the report and warm starts read."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from clipgan.base.secrets import without_passwords
from sweeps.base.optuna_internals import key_of
from sweeps.points.search_space import Value, name_of, point_id, point_text, shown

OWN = "point"  # attribute of each trial of this sweeper; other tools' trials lack it
JOB = "job."  # prefix of the attributes that a job sets
OBJECTIVE_SD = "objective_sd"  # a job's attribute: standard deviation of measuring the first objective again
DIFFERS = "origin_differs"  # attribute: settings of the study that a trial was taken over from, where they differ
SOURCES = "sources"  # attribute: digests of the files that its values depend on, as the job has told them
WAITS = "waits"  # attribute: why a claimed trial does not run yet, as in Slurm's queue
NOT_BEGUN = "not begun"  # its value until there is a reason worth a line
NAMES = "metric_names"  # attribute: the metrics' own names, as the job has told them


@dataclass(frozen=True)
class Sources:
    """The files that a trial's values depend on."""

    settings: str  # digest of the settings that choose the files: where it is the same, the files should be
    digests: Mapping[str, str]  # name -> digest of the content, where it is known

    def as_note(self) -> dict[str, str]:
        """What a trial stores."""
        return {"settings": self.settings, **self.digests}

    @classmethod
    def of_note(cls, note: Mapping[str, str]) -> "Sources":
        """Read what a trial has stored."""
        return cls(note.get("settings", ""), {name: digest for name, digest in note.items() if name != "settings"})


@dataclass(frozen=True)
class TrialRecord:
    """The data of one trial."""

    number: int
    state: str  # WAITING | RUNNING | COMPLETE | PRUNED | FAIL
    point: Mapping[str, Value]
    value: float | None = None  # the first objective; of a pruned trial, its last value
    steps: Mapping[int, float] = field(default_factory=dict)  # step -> reported value
    attributes: Mapping[str, Any] = field(default_factory=dict)  # set by the job
    reason: str | None = None  # reason of a failure, without passwords
    run_dir: str | None = None
    replica: int = 0  # number of its seed: the config's own seed plus this
    values: tuple[float, ...] = ()  # all objectives of a complete trial
    origin: str | None = None  # STUDY#NUMBER of a trial taken over from another study
    differs: tuple[str, ...] = ()  # settings in which that study differs from this one, a phrase for each
    system: Mapping[str, Any] = field(default_factory=dict)  # notes of Optuna's samplers and pruners
    started: datetime | None = None  # by the clock of the host that ran it
    ended: datetime | None = None
    overrides: tuple[str, ...] = ()  # overrides for the point and the seed
    run: int = -1  # number of its run directory; -1: it has none
    attempt: int = 0  # number of earlier crashes of its task
    requeues: int = 0  # times that its task has asked to run again later
    requeued: bool = False  # it failed, and its task was queued again
    waits: str = ""  # why a RUNNING trial does not run yet
    owner: Mapping[str, Any] = field(default_factory=dict)  # the process that claimed it
    note: str | None = None  # of its point, while it has no trial yet
    distributions: Mapping[str, Any] = field(default_factory=dict)  # Optuna's, by axis
    key: int = -1  # the trial's key in Optuna's storage
    names: Mapping[str, str] = field(default_factory=dict)  # see `sweeps.points.metric_names`
    sources: Sources | None = None  # None: the job has told none
    failed_again: "TrialRecord | None" = None  # see `results_of_each_task`

    def __str__(self) -> str:
        return point_text(self.point)

    @property
    def label(self) -> int:
        """The number that a user sees everywhere: that of the run directory, which all attempts of a task share.

        A trial of another study or tool has Optuna's own number, which no run directory of this study has.
        """
        return self.run if self.run >= 0 else self.number

    @property
    def latest(self) -> "TrialRecord":
        """The newest trial of its task: the record itself, or the one that has failed after it."""
        return self.failed_again or self

    @property
    def spelled(self) -> str:
        """Its point and seed as overrides, in one line."""
        return "  ".join(map(shown, self.overrides)) or "(no axis)"

    @functools.cached_property
    def task(self) -> str:
        """One text for its point with its seed: a study runs each task once."""
        return f"{point_id(self.point)}#{self.replica}"

    @property
    def is_open(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ("WAITING", "RUNNING")

    @property
    def skipped(self) -> bool:
        """Whether the trial never started, because another replica of its point was pruned."""
        return self.state == "PRUNED" and self.reason is not None

    @property
    def seconds(self) -> float | None:
        """How long the trial ran; None if it has not ended."""
        return (self.ended - self.started).total_seconds() if self.ended and self.started else None


def record_of(trial: FrozenTrial) -> TrialRecord:
    """Read a trial of Optuna's, whether this sweeper or another tool made it."""
    attributes = trial.user_attrs
    point = {axis: _value(value) for axis, value in trial.params.items()}
    return TrialRecord(
        number=trial.number,
        state=trial.state.name,
        point=point,
        replica=attributes.get("replica", 0),
        value=trial.values[0] if trial.values else None,
        values=tuple(trial.values) if trial.values and trial.state == TrialState.COMPLETE else (),
        steps=dict(sorted(trial.intermediate_values.items())),
        attributes={key.removeprefix(JOB): attributes[key] for key in attributes if key.startswith(JOB)},
        reason=without_passwords(attributes["reason"]) if "reason" in attributes else None,
        run_dir=attributes.get("run_dir"),
        origin=attributes.get("origin"),
        differs=tuple(attributes.get(DIFFERS, ())),
        system=trial.system_attrs,
        started=trial.datetime_start,
        ended=trial.datetime_complete,
        overrides=tuple(attributes.get("overrides") or (f"{axis}={name_of(value)}" for axis, value in point.items())),
        run=attributes.get("run", -1),
        attempt=attributes.get("attempt", 0),
        requeues=attributes.get("requeues", 0),
        requeued=attributes.get("requeued", False),
        waits=attributes.get(WAITS, ""),
        owner=attributes.get("owner", {}),
        distributions=trial.distributions,
        key=key_of(trial),
        names=attributes.get(NAMES, {}),
        sources=Sources.of_note(attributes[SOURCES]) if SOURCES in attributes else None,
    )


def newest_of_each_task(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Choose the newest trial of each task, sorted by number: the others were interrupted, orphaned or retried.

    Args:
        records: sorted by number.
    """
    return sorted({record.task: record for record in records}.values(), key=lambda record: record.number)


def results_of_each_task(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Choose the trial of each task whose result counts, sorted by number: the newest, with one exception.

    A complete trial that was run again and failed before it reported anything new keeps its result, and has the failed
    trial as `failed_again`.

    Args:
        records: sorted by number.
    """
    found: dict[str, TrialRecord] = {}
    for record in records:
        known = found.get(record.task)
        if known is not None and (known.state, record.state, known.steps) == ("COMPLETE", "FAIL", record.steps):
            found[record.task] = replace(known, failed_again=record)
        else:
            found[record.task] = record
    return sorted(found.values(), key=lambda record: record.number)


def with_seed_as_replica(record: TrialRecord, seed_key: str) -> TrialRecord:
    """Turn a trial of a sweep over the seed into a replica of the point without the seed."""
    seed = record.point.get(seed_key)
    if not isinstance(seed, float) or not seed.is_integer():
        return record
    point = {axis: value for axis, value in record.point.items() if axis != seed_key}
    return replace(record, point=point, replica=int(seed))


def with_axes_in_one_order(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Give all points their axes in one order: commands of a study may name them in any.

    It is that of the first trial with the most axes, so that an axis which others lack has its place among them.
    """
    most = max((record.point for record in records), key=len, default={})
    axes = list(dict.fromkeys((*most, *(axis for record in records for axis in record.point))))
    return [
        replace(record, point={axis: record.point[axis] for axis in axes if axis in record.point}) for record in records
    ]


def objective_sds(records: Iterable[TrialRecord]) -> list[float]:
    """List the standard deviation of a repeated measurement that each job reported; 0 for a job without a report."""
    return [float(record.attributes.get(OBJECTIVE_SD) or 0.0) for record in records]


def _value(value: object) -> Value:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
