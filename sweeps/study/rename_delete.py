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
from sweeps.study.stored_study import first_names, load_study, records_of

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
        firsts = first_names(storage)
        if new in firsts or any(first == new for name, first in firsts.items() if name != old):
            raise SweepError(f"there is a study {new} already; delete it, or choose another name")
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
        optuna.delete_study(study_name=name, storage=storage)


def refuse_running(storage: RDBStorage, name: str) -> None:
    """Check that no process runs a study.

    Raises:
        SweepError: one does; the message says where.
    """
    running = running_elsewhere(storage, name)
    if running:
        trials = listed([f"trial {record.label}{_place(record)}" for record in running], MAX_LISTED)
        stop = "stop its sweep first (Ctrl-C, or scancel for Slurm jobs)"
        if not any(record.owner for record in running):
            stop = "another tool has it: end it there first, as with `optuna tell`"
        raise SweepError(f"study {name} runs: {trials}; {stop}")


def running_elsewhere(storage: RDBStorage, name: str) -> list[TrialRecord]:
    """Find the trials that another living process runs, or may run on another host, which has sent a heartbeat lately.

    Args:
        storage: of the study.
        name: of the study in Optuna.
    """
    study = load_study(storage, name)
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
