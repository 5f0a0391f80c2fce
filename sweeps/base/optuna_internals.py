"""Access Optuna beyond its public interface: three private names and the tables of `RDBStorage`.

Why: Optuna reads a study and adds to it more slowly with every waiting trial, it refuses a trial whose choices differ
from the choices of earlier trials, it cannot rename a study, and it adds no artifact to a trial that has ended.
`tests/sweeps/base/test_optuna_internals.py` shows what a new Optuna release has changed.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import sqlalchemy
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

_UNFINISHED = sqlalchemy.text(
    "SELECT trial_id, state FROM trials"
    " WHERE study_id = :study AND (trial_id > :last OR state IN ('RUNNING', 'WAITING'))"
)
_SET_NOTE = sqlalchemy.text(
    "UPDATE study_user_attributes SET value_json = :text WHERE study_id = :study AND key = :key"
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
_N_TRIALS = sqlalchemy.text("SELECT count(*) FROM trials WHERE study_id = :study")
_ADD_TRIAL = sqlalchemy.text("INSERT INTO trials (number, study_id, state) VALUES (:number, :study, 'WAITING')")
_NEW_KEYS = sqlalchemy.text("SELECT number, trial_id FROM trials WHERE study_id = :study AND number >= :first")
_ADD_PARAM = sqlalchemy.text(
    "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)"
    " VALUES (:trial, :name, :value, :distribution)"
)
_ADD_USER_NOTE = sqlalchemy.text(
    "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (:trial, :name, :value)"
)
_ADD_SYSTEM_NOTE = sqlalchemy.text(
    "INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES (:trial, :name, :value)"
)


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


def add_waiting(storage: RDBStorage, study: int, trials: Sequence[FrozenTrial]) -> None:
    """Add waiting trials without reports in one transaction; `Study.add_trial` takes one or more for each attribute.

    Args:
        storage: the caller holds its lock.
        study: the key of the study.
        trials: the study has one distribution for each parameter, and all trials have it.
    """
    distributions = {name: new for trial in trials for name, new in trial.distributions.items()}
    texts = {name: distribution_to_json(distribution) for name, distribution in distributions.items()}
    with storage.engine.begin() as connection:
        connection.execute(_LOCK_STUDY, {"study": study})  # write first, as below; Optuna locks this row too
        first = connection.execute(_N_TRIALS, {"study": study}).scalar_one()
        numbered = dict(enumerate(trials, start=first))
        connection.execute(_ADD_TRIAL, [{"number": number, "study": study} for number in numbered])
        keys = {number: key for number, key in connection.execute(_NEW_KEYS, {"study": study, "first": first})}
        params: list[dict[str, Any]] = []
        user_notes: list[dict[str, Any]] = []
        system_notes: list[dict[str, Any]] = []
        for number, trial in numbered.items():
            for name, external in trial.params.items():
                value = distributions[name].to_internal_repr(external)
                params.append({"trial": keys[number], "name": name, "value": value, "distribution": texts[name]})
            for rows, notes in ((user_notes, trial.user_attrs), (system_notes, trial.system_attrs)):
                rows += [{"trial": keys[number], "name": n, "value": json.dumps(v)} for n, v in notes.items()]
        for statement, rows in ((_ADD_PARAM, params), (_ADD_USER_NOTE, user_notes), (_ADD_SYSTEM_NOTE, system_notes)):
            if rows:
                connection.execute(statement, rows)


def add_trial_notes(storage: RDBStorage, notes: Sequence[tuple[int, str, Any]]) -> None:
    """Add system attributes to trials, also to trials that have ended, which Optuna does not change.

    Args:
        storage: the caller holds its lock.
        notes: key of a trial, name of an attribute that it does not have yet, JSON value.
    """
    rows = [{"trial": key, "name": name, "value": json.dumps(value)} for key, name, value in notes]
    if rows:
        with storage.engine.begin() as connection:
            connection.execute(_ADD_SYSTEM_NOTE, rows)


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
