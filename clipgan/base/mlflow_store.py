"""MLflow's store: safe first use of a database, and short waits for a server that does not answer."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock


def first_touch(uri: str) -> AbstractContextManager[Any]:
    """A lock for the first use of a tracking store: two processes that create one SQLite database at once break it."""
    if not uri.startswith("sqlite:///"):
        return nullcontext()
    path = Path(uri.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{path}.lock")
