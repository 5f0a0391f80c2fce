"""Use MLflow's store safely: lock the first use of a database, and wait only briefly for a silent server."""

import logging
import os
import shlex
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlparse

from filelock import FileLock

from clipgan.base.console import console
from clipgan.base.installed import python
from clipgan.base.secrets import without_passwords

DATABASES = ("postgresql", "mysql", "mssql")  # begin a tracking URI
LIMITED = ("psycopg", "psycopg2", "mysqldb", "pymysql", "mysqlconnector")  # drivers that know `connect_timeout`
CONNECT = 5  # seconds that a database has to answer at first
BY_NAME = ("tags.`mlflow.runName`", True)  # an order of runs


def first_touch(uri: str) -> AbstractContextManager[Any]:
    """Lock the first use of a tracking store: two processes that create an SQLite database at once break it.

    Raises:
        SQLAlchemyError: the store is in a server's database, which does not answer. MLflow alone would repeat the first
            connection for two minutes.
    """
    if uri.startswith(DATABASES):
        _connect_once(uri)
    if not uri.startswith("sqlite:///"):
        return nullcontext()
    path = Path(uri.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{path}.lock")


def _connect_once(uri: str) -> None:
    import sqlalchemy

    options = {"connect_timeout": CONNECT} if sqlalchemy.make_url(uri).get_driver_name() in LIMITED else {}
    engine = sqlalchemy.create_engine(uri, connect_args=options, poolclass=sqlalchemy.NullPool)
    engine.connect().close()


def address(
    uri: str, experiment_id: str, run: str | None = None, parent: str | None = None, order: tuple[str, bool] = BY_NAME
) -> str:
    """Say where a browser shows a run, or the runs inside a sweep's run, in the view for trainings.

    For an SQLite database, it is the command that serves it, and the address where it does so by default.

    Args:
        uri: MLflow's tracking URI.
        experiment_id: of the runs.
        run: the id of a run, or None.
        parent: the id of a sweep's run, or None.
        order: what sorts the runs inside the sweep's run, and whether the lowest comes first. In an order by time,
            MLflow shows these runs as one folded row.
    """
    page = f"#/experiments/{experiment_id}/runs{'' if run is None else f'/{run}'}?workflowType=machine_learning"
    if parent is not None:
        key, ascending = order
        page += f"&searchFilter={quote(f'tags.`mlflow.parentRunId` = {parent!r}')}"
        page += f"&orderByKey={quote(key)}&orderByAsc={str(ascending).lower()}"
    shown = without_passwords(uri)
    if uri.startswith(("http://", "https://")):
        return f"{shown.rstrip('/')}/{page}"
    return f"{shlex.join([python(), '-m', 'mlflow', 'ui', '--backend-store-uri', shown])}, then http://127.0.0.1:5000/{page}"


def _is_moved(uri: str, location: str) -> bool:
    """Whether an SQLite file was moved or copied away from the folder with the files of an experiment."""
    parsed = urlparse(location)
    if not uri.startswith("sqlite:///") or parsed.scheme not in ("", "file"):
        return False
    place, own = Path(unquote(parsed.path)).resolve(), Path(uri.removeprefix("sqlite:///")).resolve().parent
    copied = own / place.parent.name / place.name  # mlruns/1
    return not place.is_relative_to(own) and copied.exists()


def limit_waits() -> None:
    """Keep MLflow from blocking for minutes where a server is down, and from speaking; for before it is imported."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")


def connect(uri: str, experiment: str) -> tuple[Any, str]:
    """A client and the id of the experiment, which is made if missing, and restored if somebody has deleted it.

    Raises:
        Exception: whatever MLflow raises where it cannot be reached.
    """
    from mlflow import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)  # its lines about every migration
    with first_touch(uri):
        client = MlflowClient(tracking_uri=uri)
        known = client.get_experiment_by_name(experiment)
        if known and known.lifecycle_stage == "deleted":  # its name stays taken
            client.restore_experiment(known.experiment_id)
            console.print(f"MLflow's experiment {experiment} was deleted: restored for this run")
        if known and _is_moved(uri, known.artifact_location):
            console.print(
                f"MLflow's experiment {experiment} keeps its files in {known.artifact_location}, not beside the moved"
                " database: the files of this run go there; mlflow.experiment=NAME begins a new experiment here"
            )
        return client, known.experiment_id if known else client.create_experiment(experiment)
