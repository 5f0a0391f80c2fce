"""Access Optuna beyond its public interface: three private names and the tables of `RDBStorage`.

Why: Optuna reads a study and adds to it more slowly with every waiting trial, it refuses a trial whose choices differ
from the choices of earlier trials, it cannot rename a study, and it adds no artifact to a trial that has ended.
`tests/sweeps/base/test_optuna_internals.py` shows what a new Optuna release has changed.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial


def _timed(statement: str) -> sqlalchemy.TextClause:
    return sqlalchemy.text(statement).bindparams(sqlalchemy.bindparam("now", type_=sqlalchemy.DateTime))


_UNFINISHED = sqlalchemy.text(
    "SELECT trial_id, state FROM trials"
    " WHERE study_id = :study AND (trial_id > :last OR state IN ('RUNNING', 'WAITING'))"
)
_SET_NOTE = sqlalchemy.text(
    "UPDATE study_user_attributes SET value_json = :text WHERE study_id = :study AND key = :key"
)
_ADD_NOTE = sqlalchemy.text(
    "INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (:study, :key, :text)"
)
_PARAMS = sqlalchemy.text(
    "SELECT param_id, param_name, param_value, distribution_json FROM trial_params"
    " WHERE trial_id IN (SELECT trial_id FROM trials WHERE study_id = :study)"
)
_SET_PARAM = sqlalchemy.text(
    "UPDATE trial_params SET param_value = :value, distribution_json = :distribution WHERE param_id = :id"
)
_LOCK_STUDY = sqlalchemy.text("UPDATE studies SET study_name = study_name WHERE study_id = :study")
_RENAME_STUDY = sqlalchemy.text("UPDATE studies SET study_name = :new WHERE study_name = :old")
_NEXT_NUMBER = sqlalchemy.text("SELECT coalesce(max(number), -1) + 1 FROM trials WHERE study_id = :study")
_NEW_KEYS = sqlalchemy.text("SELECT number, trial_id FROM trials WHERE study_id = :study AND number >= :first")
_ADD_TRIAL = "INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete) VALUES"
_ADD_VALUE = "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES"
_ADD_REPORT = (
    "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type) VALUES"
)
_NUMBER = {kind: f"(:trial, :place, :value, '{kind}')" for kind in ("FINITE", "INF_POS", "INF_NEG", "NAN")}
_ADD_PARAM = (
    "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)"
    " VALUES (:trial, :name, :value, :distribution)"
)
_ADD_USER_NOTE = "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (:trial, :name, :value)"
_ADD_SYSTEM_NOTE = "INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES (:trial, :name, :value)"
_START = _timed(
    "UPDATE trials SET state = 'RUNNING', datetime_start = :now WHERE trial_id = :trial AND state = 'WAITING'"
)
_COMPLETE = _timed(
    "UPDATE trials SET state = 'COMPLETE', datetime_complete = :now WHERE trial_id = :trial AND state = 'RUNNING'"
)
_FORGET_USER_NOTE = sqlalchemy.text("DELETE FROM trial_user_attributes WHERE trial_id = :trial AND key = :name")
_FORGET_BEAT = sqlalchemy.text("DELETE FROM trial_heartbeats WHERE trial_id = :trial")
_BEAT = sqlalchemy.text("INSERT INTO trial_heartbeats (trial_id, heartbeat) VALUES (:trial, CURRENT_TIMESTAMP)")
ARTIFACT = "artifacts:"  # prefix of the system attributes of Optuna's artifacts


def key_of(trial: FrozenTrial) -> int:
    """Return a trial's key, which is unique in its storage; its number is unique only in its study."""
    return trial._trial_id


def unfinished(storage: RDBStorage, study: int, last: int) -> dict[int, str]:
    """Map trial keys to states, for the study's waiting and running trials and all trials with a key above `last`."""
    with storage.engine.connect() as connection:
        return {key: state for key, state in connection.execute(_UNFINISHED, {"study": study, "last": last})}


def read_trials(storage: RDBStorage, study: int, keys: Collection[int], last: int) -> list[FrozenTrial]:
    """Read a study's trials with these keys, and all trials with a key above `last`."""
    return storage._get_trials(study, None, set(keys), last)


def silent_trials(storage: RDBStorage, study: int, grace: int) -> set[int]:
    """Find the keys of running trials without a heartbeat for `grace` seconds by the database's clock."""
    storage.heartbeat_interval = storage.grace_period = grace
    return set(storage._get_stale_trial_ids(study))


def start_trial(storage: RDBStorage, key: int, note: tuple[str, Any]) -> bool:
    """Let a waiting trial run, with a note and its first heartbeat, in one transaction; Optuna takes one for each.

    Args:
        storage: the caller holds its lock.
        key: of the trial.
        note: name and JSON value of a user attribute.

    Returns:
        Whether the trial was waiting.
    """
    with storage.engine.begin() as connection:
        if not connection.execute(_START, {"trial": key, "now": _utc(datetime.now())}).rowcount:
            return False
        _set_user_note(connection, key, *note)
        connection.execute(_FORGET_BEAT, {"trial": key})
        connection.execute(_BEAT, {"trial": key})
        return True


def complete_trial(storage: RDBStorage, key: int, values: Sequence[float], notes: Mapping[str, Any]) -> None:
    """End a running trial with finite values of its objectives, or with none, and notes, in one transaction.

    Args:
        storage: the caller holds its lock.
        key: of the trial.
        values: of its objectives.
        notes: names and JSON values of user attributes.
    """
    with storage.engine.begin() as connection:
        if not connection.execute(_COMPLETE, {"trial": key, "now": _utc(datetime.now())}).rowcount:
            return
        for name, value in notes.items():
            _set_user_note(connection, key, name, value)
        if values:
            statement = sqlalchemy.text(f"{_ADD_VALUE} {_NUMBER['FINITE']}")
            connection.execute(statement, [_number(key, place, value) for place, value in enumerate(values)])


def _set_user_note(connection: sqlalchemy.Connection, key: int, name: str, value: Any) -> None:
    connection.execute(_FORGET_USER_NOTE, {"trial": key, "name": name})
    connection.execute(sqlalchemy.text(_ADD_USER_NOTE), {"trial": key, "name": name, "value": json.dumps(value)})


def add_trials(storage: RDBStorage, study: int, trials: Sequence[FrozenTrial]) -> None:
    """Add trials in one transaction; `Study.add_trial` takes one or more for each attribute.

    Args:
        storage: the caller holds its lock.
        study: the key of the study.
        trials: all waiting, or all complete.
    """
    [state] = {trial.state.name for trial in trials}
    add = sqlalchemy.text(f"{_ADD_TRIAL} (:number, :study, '{state}', :started, :ended)").bindparams(
        sqlalchemy.bindparam("started", type_=sqlalchemy.DateTime),
        sqlalchemy.bindparam("ended", type_=sqlalchemy.DateTime),
    )
    with storage.engine.begin() as connection:
        connection.execute(_LOCK_STUDY, {"study": study})  # write first, as below; Optuna locks this row too
        # not their count, as Optuna takes: somebody may have deleted a trial, and no two trials may share a number
        first = connection.execute(_NEXT_NUMBER, {"study": study}).scalar_one()
        numbered = dict(enumerate(trials, start=first))
        connection.execute(
            add,
            [
                {"number": n, "study": study, "started": _utc(t.datetime_start), "ended": _utc(t.datetime_complete)}
                for n, t in numbered.items()
            ],
        )
        keys = {number: key for number, key in connection.execute(_NEW_KEYS, {"study": study, "first": first})}
        for statement, rows in _rows({keys[number]: trial for number, trial in numbered.items()}).items():
            connection.execute(sqlalchemy.text(statement), rows)


def _rows(trials: Mapping[int, FrozenTrial]) -> dict[str, list[dict[str, Any]]]:
    """Collect the rows of all trials in the other tables, by the statement that adds them.

    Args:
        trials: by their keys.
    """
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    texts: dict[BaseDistribution, str] = {}
    for key, trial in trials.items():
        for name, external in trial.params.items():
            distribution = trial.distributions[name]
            if distribution not in texts:
                texts[distribution] = distribution_to_json(distribution)
            value = distribution.to_internal_repr(external)
            rows[_ADD_PARAM].append({"trial": key, "name": name, "value": value, "distribution": texts[distribution]})
        for statement, notes in ((_ADD_USER_NOTE, trial.user_attrs), (_ADD_SYSTEM_NOTE, trial.system_attrs)):
            rows[statement] += [{"trial": key, "name": n, "value": json.dumps(v)} for n, v in notes.items()]
        for place, number in enumerate(trial.values or ()):
            rows[f"{_ADD_VALUE} {_NUMBER[_kind(number)]}"].append(_number(key, place, number))
        for step, number in trial.intermediate_values.items():
            rows[f"{_ADD_REPORT} {_NUMBER[_kind(number)]}"].append(_number(key, step, number))
    return {statement: found for statement, found in rows.items() if found}


def _kind(number: float) -> str:
    """Return Optuna's name for the kind of a number: not every database stores all of them."""
    if math.isfinite(number):
        return "FINITE"
    return "NAN" if math.isnan(number) else "INF_POS" if number > 0 else "INF_NEG"


def _number(key: int, place: int, number: float) -> dict[str, Any]:
    return {"trial": key, "place": place, "value": number if math.isfinite(number) else None}


def _utc(moment: datetime | None) -> datetime | None:
    """Convert local time to UTC, both without a time zone."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)


def set_study_notes(storage: RDBStorage, study: int, notes: Mapping[str, Any]) -> None:
    """Set user attributes of a study in one transaction; Optuna takes one for each.

    Args:
        storage: the study's.
        study: the key of the study.
        notes: names and JSON values.
    """
    with storage.engine.begin() as connection:
        connection.execute(_LOCK_STUDY, {"study": study})  # write first, as below
        for name, value in notes.items():
            row = {"study": study, "key": name, "text": json.dumps(value)}
            if not connection.execute(_SET_NOTE, row).rowcount:
                connection.execute(_ADD_NOTE, row)


def add_trial_notes(storage: RDBStorage, notes: Sequence[tuple[int, str, Any]]) -> None:
    """Add system attributes to trials, also to trials that have ended, which Optuna does not change.

    Args:
        storage: the caller holds its lock.
        notes: key of a trial, name of an attribute that it does not have yet, JSON value.
    """
    rows = [{"trial": key, "name": name, "value": json.dumps(value)} for key, name, value in notes]
    if rows:
        with storage.engine.begin() as connection:
            connection.execute(sqlalchemy.text(_ADD_SYSTEM_NOTE), rows)


def rename_study(storage: RDBStorage, old: str, new: str) -> None:
    """Give a study another name, which no study has; the caller holds the storage's lock."""
    with storage.engine.begin() as connection:
        connection.execute(_RENAME_STUDY, {"old": old, "new": new})


def replace_distributions(
    storage: RDBStorage,
    study: int,
    distributions: Mapping[str, BaseDistribution],
    convert: Callable[[Any], Any],
    note: tuple[str, Any],
) -> None:
    """Replace the distributions of a study's parameters in all its trials, and change a note, in one transaction.

    Args:
        storage: the caller holds its lock.
        study: the key of the study.
        distributions: parameter -> its new distribution.
        convert: turns a parameter's old value into the new one.
        note: name and JSON value of a user attribute that the study has already.
    """
    with storage.engine.begin() as connection:
        # write first: SQLite refuses a write after a read if another process has written in between
        connection.execute(_SET_NOTE, {"study": study, "key": note[0], "text": json.dumps(note[1])})
        changes = [
            {"id": key, "value": new.to_internal_repr(convert(old)), "distribution": distribution_to_json(new)}
            for key, name, value, text in (connection.execute(_PARAMS, {"study": study}) if distributions else ())
            if (new := distributions.get(name)) is not None
            for old in [json_to_distribution(text).to_external_repr(value)]
        ]
        if changes:
            connection.execute(_SET_PARAM, changes)
