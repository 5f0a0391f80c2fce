"""Rename a study, and delete one after a question."""

import shlex
import sys
from collections import Counter
from pathlib import Path

from clipgan.base.text import counted
from sweeps.base.errors import SweepError
from sweeps.report.reading import Sweep, read
from sweeps.study.lookup import name_in, open_made
from sweeps.study.moved import is_inside
from sweeps.study.rename_delete import delete, refuse_running, rename
from sweeps.study.storage import sqlite_file


def rename_one(storage: str, study: str, new: str) -> None:
    """Rename a study, and say what this changes.

    Raises:
        SweepError: see `rename`; or there is no such study.
    """
    database = open_made(storage, writes=True)
    old = name_in(database, study)
    rename(database, old, new)
    print(f"study {old} is called {new} now; the command that made it goes on with it, in the same run directories")


def delete_one(storage: str, study: str, yes: bool) -> None:
    """Delete a study, and say what is deleted and what stays.

    Args:
        storage: URL of the storage.
        study: its name.
        yes: do not ask.

    Raises:
        SweepError: see `delete`; there is no such study; or standard input is no terminal to ask on.
    """
    database = open_made(storage, writes=True)
    name = name_in(database, study)
    refuse_running(database, name)
    sweep = read(storage, name)
    what = f"study {sweep.name} with {_trials(sweep)} in {sweep.storage}"
    if not yes:
        if not sys.stdin.isatty():
            raise SweepError(f"{what} is not deleted: there is no terminal to ask on; add --yes")
        if not _agreed(f"delete {what}? [y/N] "):
            raise SweepError("nothing is deleted")
    delete(database, name)
    file = sqlite_file(database.url)
    print(f"deleted: {what}\n{_staying(sweep, file and file.parent)}")


def _trials(sweep: Sweep) -> str:
    trials = (*sweep.trials, *sweep.superseded)
    states = Counter(trial.state for trial in trials)
    listed = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return counted(len(trials), "trial") + (f" ({listed})" if listed else "")


def _agreed(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _staying(sweep: Sweep, own_folder: Path | None) -> str:
    """Say which files stay: a new study of the same name would find their checkpoints.

    Args:
        sweep: the study.
        own_folder: of the SQLite file. What lies elsewhere may belong to the study that this one is a copy of.
    """
    found = {Path(trial.run_dir).parent for trial in (*sweep.trials, *sweep.superseded) if trial.run_dir is not None}
    folders = sorted(str(folder) for folder in found if folder.is_dir())
    whole = (sweep.note or {}).get("folder")  # of the sweep; another study may have it too
    if not folders and whole is not None and Path(whole).is_dir():  # trials that were interrupted note no directory
        return f"its run directories stay, in {whole}, and its runs in MLflow, where the same command finds them"
    if not folders:
        return "its runs in MLflow stay, if it has any; it has no run directories here"
    said = (
        f"its run directories stay, in {', '.join(folders)}, and its runs in MLflow; the same command finds the"
        " checkpoints there."
    )
    own = [
        folder
        for folder in folders
        if not Path.cwd().is_relative_to(folder)  # hydra.sweep.dir=. has more in it
        and (own_folder is None or is_inside(Path(folder), own_folder))
    ]
    return f"{said} To remove the directories: rm -r {shlex.join(own)}" if own else said
