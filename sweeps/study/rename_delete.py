"""Rename and delete a study that does not run. Its run directories stay as they are."""

import os

import optuna
from optuna.storages import RDBStorage

from clipgan.base.text import listed
from sweeps.base.errors import SweepError
from sweeps.base.optuna_internals import rename_study, silent_trials
from sweeps.base.settings import Settings, is_study_name
from sweeps.points.trial_record import TrialRecord
from sweeps.study.owner import is_dead, is_here
from sweeps.study.storage import exclusive
from sweeps.study.stored_study import copies_of_studies, newest_study, records_of

MAX_LISTED = 5  # trials named in a message


def rename(storage: RDBStorage, old: str, new: str) -> None:
    """Give a study another name. The command that made it finds it under its first name too.

    Args:
        storage: of the study.
        old: the study's name, from `name_in`.
        new: the name that it gets.

    Raises:
        SweepError: a process runs the study, or the new name is taken or not allowed.
    """
    if not is_study_name(new):
        raise SweepError(f"{new!r} is not allowed as a name: it must be one without / and \\")
    with exclusive(storage.url):
        copies = copies_of_studies(storage)
        others = {name: names for name, names in copies.items() if old not in names}
        if new in others or any(new in names for names in copies.values()):
            raise SweepError(f"there is a study {new} already; delete it, or choose another name")
        names = _copies(copies, old)
        if len(names) > 1:
            raise SweepError(
                f"study {old} cannot be renamed: version 0.1.0 has stored it in parts ({', '.join(names)})"
            )
        refuse_running(storage, old)
        rename_study(storage, old, new)


def delete(storage: RDBStorage, name: str) -> None:
    """Delete a study and its trials from the database.

    Args:
        storage: of the study.
        name: from `name_in`.

    Raises:
        SweepError: a process runs the study.
    """
    with exclusive(storage.url):
        refuse_running(storage, name)
        for each in _copies(copies_of_studies(storage), name):
            optuna.delete_study(study_name=each, storage=storage)


def _copies(copies: dict[str, list[str]], name: str) -> list[str]:
    return next(names for names in copies.values() if name in names)


def refuse_running(storage: RDBStorage, name: str) -> None:
    """Check that no process runs a study.

    Raises:
        SweepError: one does; the message says where.
    """
    running = running_elsewhere(storage, name)
    if running:
        trials = listed([f"trial {record.label}{_place(record)}" for record in running], MAX_LISTED)
        raise SweepError(f"study {name} runs: {trials}; stop its sweep first (Ctrl-C, or scancel for Slurm jobs)")


def running_elsewhere(storage: RDBStorage, name: str) -> list[TrialRecord]:
    """Find the trials that another living process runs, or may run on another host, which has sent a heartbeat lately.

    Args:
        storage: of the study.
        name: of the study in Optuna.
    """
    study = newest_study(storage, name)
    running = [record for record in records_of(study) if record.state == "RUNNING"]
    if not running:
        return []
    silent = silent_trials(storage, storage.get_study_id_from_name(study.study_name), Settings.grace)
    return [record for record in running if not _has_ended(record, silent)]


def _has_ended(record: TrialRecord, silent: set[int]) -> bool:
    if not record.owner:  # another tool's
        return False
    if not is_here(record.owner):
        return record.key in silent
    return record.owner["pid"] == os.getpid() or is_dead(record.owner)  # this process runs none while it asks


def _place(record: TrialRecord) -> str:
    return f" on {record.owner['host']} (process {record.owner['pid']})" if record.owner else ""
