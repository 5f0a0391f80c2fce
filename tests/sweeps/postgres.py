"""A private PostgreSQL server for tests: Debian's binaries, a cluster in a temporary directory, no password."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy

UNPRIVILEGED = ("postgres", "nobody")  # the server refuses to run as root


@dataclass
class Server:
    """A running server."""

    host: str
    port: int
    control: Callable[[str], None]  # `pg_ctl` with a command: start, stop

    def url(self, database: str) -> str:
        """The storage URL of a database."""
        return f"postgresql://sweeps@{self.host}:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Make an empty database; returns its URL."""
        engine = sqlalchemy.create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(f'CREATE DATABASE "{database}"'))
        engine.dispose()
        return self.url(database)


def missing() -> str | None:
    """Why there can be no server here, or None."""
    if _binaries() is None:
        return "no PostgreSQL server is installed (Debian: apt-get install postgresql)"
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        return f"psycopg cannot be imported ({error}): pip install 'psycopg[binary]'"
    return None


@contextmanager
def serve(host: str = "127.0.0.1", durable: bool = False) -> Iterator[Server]:
    """A server on a free port of `host`, for as long as the block lasts; `durable` as it is for real, and slower."""
    binaries = _binaries()
    assert binaries is not None
    account = _account()
    directory = Path(tempfile.mkdtemp(prefix="postgres-"))  # pytest's own directories are closed to another account
    if account is not None:
        shutil.chown(directory, account)
    who = {"user": account} if account is not None else {}
    data, port = directory / "data", _free_port(host)
    initdb = [binaries / "initdb", "-D", data, "-U", "sweeps", "--auth=trust", "--no-sync", "-E", "UTF8"]

    def control(command: str) -> None:
        given = ["-o", options, "-l", directory / "log"] if command == "start" else ["-m", "immediate"]
        pg_ctl = [binaries / "pg_ctl", "-D", data, "-w", "-s", *given, command]
        subprocess.run(pg_ctl, check=command == "start", cwd=directory, **who)  # type: ignore[call-overload]

    options = f"-c listen_addresses={host} -c port={port} -c unix_socket_directories={directory}"
    options += "" if durable else " -c fsync=off"
    try:
        subprocess.run(initdb, check=True, capture_output=True, cwd=directory, **who)  # type: ignore[call-overload]
        control("start")
        try:
            yield Server(host, port, control)
        finally:
            control("stop")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _binaries() -> Path | None:
    """The newest installed server's directory; Debian keeps it off the PATH."""
    found = shutil.which("pg_ctl")
    if found is not None:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: float(path.parts[-3]))
    return versions[-1].parent if versions else None


def _account() -> str | None:
    """Whom the server runs as; None: as we are."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in UNPRIVILEGED if name in known)


def _free_port(host: str) -> int:
    with socket.socket() as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])
