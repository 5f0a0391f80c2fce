"""All that sweeps use of Optuna beyond its public interface: three private names and the tables of `RDBStorage`.

Why: Optuna's own reading of a study costs more with every trial that waits, and Optuna refuses a trial whose choices
are not those of the trials before it. `tests/sweeps/base/test_optuna_internals.py` says what a new release has changed.
"""

import json
from collections.abc import Callable, Collection, Mapping
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


def key_of(trial: FrozenTrial) -> int:
    """The key of a trial in its storage; its number counts within its study."""
    return trial._trial_id


def unfinished(storage: RDBStorage, study: int, last: int) -> dict[int, str]:
    """Trial key -> state, of a study's trials that wait or run and of all whose key is above `last`."""
    with storage.engine.connect() as connection:
        return {key: state for key, state in connection.execute(_UNFINISHED, {"study": study, "last": last})}


def read_trials(storage: RDBStorage, study: int, keys: Collection[int], last: int) -> list[FrozenTrial]:
    """A study's trials with these keys, and all whose key is above `last`."""
    return storage._get_trials(study, None, set(keys), last)


def silent_trials(storage: RDBStorage, study: int, grace: int) -> set[int]:
    """The keys of the running trials without a heartbeat for `grace` seconds of the database's clock."""
    storage.heartbeat_interval = storage.grace_period = grace
    return set(storage._get_stale_trial_ids(study))


def replace_distributions(
    storage: RDBStorage,
    study: int,
    distributions: Mapping[str, BaseDistribution],
    convert: Callable[[Any], Any],
    note: tuple[str, Any],
) -> None:
    """Give a study's parameters other distributions, in all of its trials, and change a note, in one transaction.

    Args:
        storage: locked by the caller.
        study: the key of the study.
        distributions: parameter -> its new distribution.
        convert: from a parameter's old value to the new one.
        note: name and JSON value of a user attribute that the study has already.
    """
    with storage.engine.begin() as connection:
        # a write comes first: SQLite refuses one after a read if another process has written in between
        connection.execute(_SET_NOTE, {"study": study, "key": note[0], "text": json.dumps(note[1])})
        changes = [
            {"id": key, "value": new.to_internal_repr(convert(old)), "distribution": distribution_to_json(new)}
            for key, name, value, text in (connection.execute(_PARAMS, {"study": study}) if distributions else ())
            if (new := distributions.get(name)) is not None
            for old in [json_to_distribution(text).to_external_repr(value)]
        ]
        if changes:
            connection.execute(_SET_PARAM, changes)
