"""Use MLflow's store safely: lock the first use of a database, and wait only briefly for a silent server."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock


def first_touch(uri: str) -> AbstractContextManager[Any]:
    """Lock the first use of a tracking store: two processes that create an SQLite database at once break it."""
    if not uri.startswith("sqlite:///"):
        return nullcontext()
    path = Path(uri.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{path}.lock")
