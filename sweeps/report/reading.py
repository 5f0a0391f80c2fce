"""From a storage to what a report is about. Nothing is written, and a running study is read as it is now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial
from sqlalchemy.engine import make_url

from clipgan.base.secrets import without_passwords
from sweeps.base.errors import SweepError
from sweeps.command.command_line import ATTRIBUTE, command_of
from sweeps.points.search_space import Value, name_of, point_id
from sweeps.points.trial_record import JOB
from sweeps.study.storage import absolute_url, open_storage

SEED_AXIS = "seed"  # swept by hand, its values are replicas of the same point
MAX_LISTED = 20  # studies named in a message


@dataclass(frozen=True)
class Trial:
    """A trial of a study."""

    number: int
    state: str  # WAITING | RUNNING | COMPLETE | PRUNED | FAIL
    point: Mapping[str, Value]  # without the seed
    replica: int  # number of its seed; of a seed swept by hand, the seed
    values: tuple[float, ...]  # one for each objective; empty unless COMPLETE
    steps: Mapping[int, float]  # step -> reported value, in order
    attributes: Mapping[str, Any]  # set by the job
    reason: str | None
    run_dir: str | None
    command: str  # runs it again, alone
    frozen: FrozenTrial  # Optuna's own

    def __str__(self) -> str:
        return point_text(self.point)


@dataclass(frozen=True)
class Sweep:
    """A study, and what its trials have in common."""

    name: str
    storage: str  # to be shown: without a password
    axes: tuple[str, ...]
    objectives: tuple[str, ...]  # their names
    minimize: tuple[bool, ...]
    step_name: str
    aggregate: str  # what orders the points by their replicas: mean | median | a quantile such as q75
    trials: tuple[Trial, ...]  # the newest of each point and replica, by number
    superseded: tuple[Trial, ...]  # earlier trials of the same: interrupted, orphaned or retried

    def in_state(self, *states: str) -> list[Trial]:
        """The trials in these states."""
        return [trial for trial in self.trials if trial.state in states]


def read(storage: str, study: str | None) -> Sweep:
    """A study by its name, or the only one there is.

    Raises:
        SweepError: the storage cannot be used or there is no such study; the message lists those there are.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = _existing(storage)
    database = open_storage(url)
    names = optuna.get_all_study_names(database)
    if study is None and len(names) == 1:
        [study] = names
    if study is None or study not in names:
        raise SweepError(f"{_no_such(study)} in {shown_url(url)}: {_listed(names)}")
    found = optuna.load_study(study_name=study, storage=database)
    while (successor := found.user_attrs.get("successor")) is not None:
        found = optuna.load_study(study_name=successor, storage=database)
    return _sweep(found, shown_url(url))


def shown_url(url: str) -> str:
    """A storage URL without a password and without options, which may hold one."""
    return make_url(url).set(query={}).render_as_string()


def point_text(point: Mapping[str, Value]) -> str:
    """A point in one line."""
    return "  ".join(f"{axis}={name_of(value)}" for axis, value in point.items()) or "(no axis)"


def _existing(storage: str) -> str:
    """The absolute URL; an SQLite file that is not there is not made."""
    from pathlib import Path

    url = absolute_url(storage)
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(str(parsed.database)).exists():
        raise SweepError(f"there is no study yet: {parsed.database} does not exist; give another with --storage URL")
    return url


def _no_such(study: str | None) -> str:
    return "which study" if study is None else f"there is no study {study}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return f"those there are: {', '.join(sorted(names)[:MAX_LISTED])}{more}" if names else "it has none"


def _sweep(study: optuna.Study, storage: str) -> Sweep:
    note = study.user_attrs.get(ATTRIBUTE)
    trials = [_trial(trial, note) for trial in study.get_trials(deepcopy=False)]
    newest = {(point_id(trial.point), trial.replica): trial for trial in trials}
    kept = {trial.number for trial in newest.values()}
    axes = dict.fromkeys(axis for trial in trials for axis in trial.point)
    return Sweep(
        name=study.study_name,
        storage=storage,
        axes=tuple(axes),
        objectives=_objectives(study),
        minimize=tuple(direction.name == "MINIMIZE" for direction in study.directions),
        step_name=study.user_attrs.get("step_name", "step"),
        aggregate=study.user_attrs.get("aggregate", "mean"),
        trials=tuple(trial for trial in trials if trial.number in kept),
        superseded=tuple(trial for trial in trials if trial.number not in kept),
    )


def _objectives(study: optuna.Study) -> tuple[str, ...]:
    n = len(study.directions)
    names = study.user_attrs.get("objectives") or study.metric_names or ()
    if len(names) == n:
        return tuple(names)
    return ("objective",) if n == 1 else tuple(f"objective {index + 1}" for index in range(n))


def _trial(trial: FrozenTrial, note: Mapping[str, Any] | None) -> Trial:
    attributes = trial.user_attrs
    point = dict(attributes.get("point", trial.params))  # another tool's trial has its parameters alone
    seed = point.pop(SEED_AXIS, None)
    overrides = attributes.get("overrides", [f"{axis}={name_of(value)}" for axis, value in trial.params.items()])
    return Trial(
        number=trial.number,
        state=trial.state.name,
        point=point,
        replica=int(seed) if isinstance(seed, float) else attributes.get("replica", 0),
        values=tuple(trial.values) if trial.state.name == "COMPLETE" else (),
        steps=dict(sorted(trial.intermediate_values.items())),
        attributes={key.removeprefix(JOB): attributes[key] for key in attributes if key.startswith(JOB)},
        reason=without_passwords(attributes.get("reason") or "") or None,
        run_dir=attributes.get("run_dir"),
        command=without_passwords(command_of(note, overrides)),
        frozen=trial,
    )
