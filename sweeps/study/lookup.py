"""Find the studies of a storage by the names that a user gives. Nothing is written."""

from collections.abc import Sequence
from difflib import get_close_matches

import optuna
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url

from clipgan.base.text import listed
from sweeps.base.errors import SweepError
from sweeps.study.storage import absolute_url, is_made, open_storage
from sweeps.study.stored_study import current_name

MAX_LISTED = 20  # studies named in a message


def open_made(storage: str, writes: bool = False) -> RDBStorage:
    """Open a storage that exists.

    Args:
        storage: its URL.
        writes: whether the caller writes.

    Raises:
        SweepError: there is none, or it cannot be used.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = absolute_url(storage, writes)
    if not is_made(url):
        path = make_url(url).database
        raise SweepError(f"there is no study yet: {path} does not exist; give another with --storage URL")
    return open_storage(url)


def name_in(storage: RDBStorage, asked: str | None) -> str:
    """Return the name of a study that the storage has.

    Args:
        storage: of the study.
        asked: its name, or the one that it had before it was renamed; None: the only study.

    Raises:
        SweepError: there is no such study; the message lists those there are.
    """
    if asked is not None and (found := current_name(storage, asked)) is not None:
        return found
    known = optuna.get_all_study_names(storage)
    if asked is None and len(known) == 1:
        return known[0]
    where = shown_url(storage.url)
    if asked is None:
        raise SweepError(f"which study in {where}: {_listed(known)}")
    raise SweepError(f"there is no study {asked} in {where}: {_meant(asked, known)}{_listed(known)}")


def shown_url(url: str) -> str:
    """Return a storage URL without a password and without options, which may hold one."""
    return make_url(url).set(query={}).render_as_string()


def _meant(asked: str, known: Sequence[str]) -> str:
    close = [name for name in known if name.startswith(asked)] or get_close_matches(asked, known, n=MAX_LISTED)
    return f"did you mean {' or '.join(sorted(close)[:MAX_LISTED])}? " if close else ""


def _listed(names: Sequence[str]) -> str:
    return f"those there are: {listed(sorted(names), MAX_LISTED)}" if names else "it has none"
