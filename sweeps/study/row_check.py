"""Look through the rows of an SQLite database of studies: a row that was altered by hand would end in a traceback.

Optuna's tables hold texts of JSON. SQLite looks at them itself, in 0.1 s for 10,000 trials. Studies of other tools may
have notes of the same names, so only the notes of this sweeper's studies and trials must have its types.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

from sweeps.base.errors import SweepError

TEXTS = "array of text"
OF_STUDIES: Mapping[str, tuple[str, ...]] = {  # note of a study -> its types in JSON
    "identity": ("object",), "space": ("object of array",), "family": ("text",), "successor": ("text",),
    "command": ("object",), "code": (TEXTS,), "about": (TEXTS,), "log_axes": (TEXTS,), "dependencies": (TEXTS,),
    "slurm_jobs": (TEXTS,), "jobs_begun": ("real", "null"), "mlflow_run_ids": (TEXTS,), "mlflow_run_id": ("text",),
    "sweep_dir": ("text",), "intervals": (TEXTS,),
    "objectives": (TEXTS,), "aggregate": ("text",), "replicas": ("integer",),
    "replicas_error": ("real", "integer", "null"), "replicas_top": ("integer", "null"),
    "seed_key": ("text",), "step_name": ("text",),
}  # fmt: skip
OF_TRIALS: Mapping[str, tuple[str, ...]] = {
    "point": ("object",), "replica": ("integer",), "overrides": (TEXTS,), "run": ("integer",), "attempt": ("integer",),
    "requeues": ("integer",), "requeued": ("true", "false"), "owner": ("object",), "run_dir": ("text", "null"),
    "waits": ("text",), "reason": ("text", "null"), "origin": ("text", "null"), "metric_names": ("object of text",),
    "sources": ("object of text",), "origin_differs": (TEXTS,),
    "job.objective_sd": ("real", "integer", "null"),
}  # fmt: skip
INSIDE: Mapping[str, Mapping[str, str]] = {  # what notes hold: path -> type; earlier versions wrote no flags
    "identity": {"$.config": "object"}, "command": {"$.program": "text", "$.fixed": "array", "$.flags": "array"}
}  # fmt: skip
NEW = ("$.config", "$.flags")
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
    """Describe the first row that neither Optuna nor this sweeper has written; None if there is none."""
    if sqlite3.sqlite_version_info < (3, 38):  # may lack the functions for JSON
        return None
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables.issuperset(ROWS):  # new, or of another program: Optuna says so
        return None
    return next(_found(connection), None)


def _found(connection: sqlite3.Connection) -> Iterator[str]:
    for table, condition in ROWS.items():
        for (row,) in connection.execute(f"SELECT rowid FROM {table} WHERE NOT coalesce({condition}, 0) LIMIT 1"):
            yield f"row {row} of {table}"
    for owner, notes, mark in (("study", OF_STUDIES, "identity"), ("trial", OF_TRIALS, "point")):
        for name, types in notes.items():
            usual = " OR ".join([*map(_is, types)])
            inside = [
                f"coalesce(json_type({VALUE}, '{path}') = '{kind}', {int(path in NEW)})"
                for path, kind in INSIDE.get(name, {}).items()
            ]
            query = (
                f"SELECT rowid, value_json FROM {owner}_user_attributes AS a WHERE key = ? AND NOT coalesce("
                f"{' AND '.join([f'({usual})', *inside])}, 0) AND EXISTS (SELECT 1 FROM {owner}_user_attributes AS b"
                f" WHERE b.{owner}_id = a.{owner}_id AND b.key = '{mark}') LIMIT 1"
            )
            for row, value in connection.execute(query, (name,)):
                yield f"row {row} of {owner}_user_attributes: {name}={value[:40]}"


def _is(kind: str) -> str:
    whole, _, part = kind.partition(" of ")
    same = f"json_type({VALUE}) = '{whole}'"
    if not part:
        return same
    return f"({same} AND NOT EXISTS (SELECT 1 FROM json_each({VALUE}) AS each WHERE each.type != '{part}'))"
