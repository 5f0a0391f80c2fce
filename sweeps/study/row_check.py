"""Look through the rows of an SQLite database of studies: an altered row would end in a traceback of Optuna's.

Optuna's tables hold texts of JSON. SQLite looks at them itself, in 0.1 s for 10,000 trials.
"""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing

from sweeps.base.errors import SweepError

NUMBER = "('real', 'integer')"


def _json(column: str) -> str:
    """Write a column of JSON as SQLite takes it: Python's NaN and infinities become null and 0."""
    return f"replace(replace({column}, 'NaN', 'null'), 'Infinity', '0')"


VALUE = _json("value_json")
ROWS: Mapping[str, str] = {  # table -> what a row must meet
    "studies": "EXISTS (SELECT 1 FROM study_directions AS d WHERE d.study_id = studies.study_id)",
    "study_directions": "direction IN ('MINIMIZE', 'MAXIMIZE', 'NOT_SET')",
    "study_user_attributes": f"json_valid({VALUE})",
    "study_system_attributes": f"json_valid({VALUE})",
    "trials": "state IN ('RUNNING', 'WAITING', 'COMPLETE', 'PRUNED', 'FAIL') AND typeof(number) = 'integer'"
              " AND coalesce(julianday(datetime_start), datetime_start IS NULL)"
              " AND coalesce(julianday(datetime_complete), datetime_complete IS NULL)",
    "trial_user_attributes": f"json_valid({VALUE})",
    "trial_system_attributes": f"json_valid({VALUE})",
    "trial_params": f"typeof(param_value) IN {NUMBER} AND json_valid({_json('distribution_json')})"
                    f" AND json_extract({_json('distribution_json')}, '$.name') LIKE '%Distribution'",
    "trial_values": f"typeof(value) IN {NUMBER} OR value_type LIKE 'INF%'",
    "trial_intermediate_values": f"typeof(intermediate_value) IN {NUMBER} OR intermediate_value_type IN "
                                 "('INF_POS', 'INF_NEG', 'NAN')",
}  # fmt: skip


def refuse_damage(path: str, connect: Callable[[], sqlite3.Connection]) -> None:
    """Look through an SQLite file that may be cut or altered, before Optuna reads and writes it.

    Raises:
        SweepError: SQLite finds it damaged.
        DatabaseError: SQLite cannot read it at all.
    """
    with closing(connect()) as connection:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        damage = found if found != "ok" else altered_row(connection)
    if damage is not None:
        raise SweepError(
            f"hydra.sweeper.storage=sqlite:///{path} is damaged ({' '.join(damage.split())}); put a copy in its"
            " place, or move it away: the command then begins a new study and runs everything again"
        )


def altered_row(connection: sqlite3.Connection) -> str | None:
    """Describe the first row that Optuna has not written; None if there is none."""
    if sqlite3.sqlite_version_info < (3, 38):  # may lack the functions for JSON
        return None
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables.issuperset(ROWS):  # new, or of another program: Optuna says so
        return None
    for table, condition in ROWS.items():
        for (row,) in connection.execute(f"SELECT rowid FROM {table} WHERE NOT coalesce({condition}, 0) LIMIT 1"):
            return f"row {row} of {table}"
    return None
