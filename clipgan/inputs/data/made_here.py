"""Recognise folders that clipgan and MLflow write, which may lie among the data: runs, sweeps, artifacts, the cache."""

import os
import re
from pathlib import Path

from clipgan.base import lookup, run_lock
from clipgan.base.cache import is_entry

SETTINGS, RECORDS = "config.yaml", ("provenance.jsonl", "metrics.jsonl")  # of a run that has begun
PREPARING = (run_lock.NAME, ".hydra")  # in the directory of a run that still prepares its data
BESIDE = ("multirun.yaml", "optimization_results.yaml", "meta.yaml")  # beside runs: Hydra's, Hydra's and MLflow's
ARTIFACTS = re.compile(r"(m-)?[0-9a-f]{32}")  # MLflow's name for the folder of a run, or of a logged model


def is_made_here(folder: Path) -> bool:
    """Whether all that a folder holds is written by clipgan or MLflow.

    A folder is recognised by what lies in it, and never by its name alone: data may lie in a folder called `runs`. A
    folder of such folders is one of them, if it has no file of another kind. A folder that this user may not read is
    none.
    """
    try:
        return _is_run(folder) or _is_artifacts(folder) or is_entry(folder) or _holds_only_these(folder)
    except OSError:
        return False


def _is_run(folder: Path) -> bool:
    begun = lookup.is_file(folder / SETTINGS) and any(lookup.is_file(folder / name) for name in RECORDS)
    return begun or all(lookup.exists(folder / name) for name in PREPARING)


def _is_artifacts(folder: Path) -> bool:
    return ARTIFACTS.fullmatch(folder.name) is not None and lookup.is_dir(folder / "artifacts")


def _holds_only_these(folder: Path) -> bool:
    some = False
    with os.scandir(folder) as entries:  # the first entry of another kind answers, however many there are
        for entry in entries:
            if entry.name.startswith(".") or entry.name in BESIDE or entry.name.endswith(".lock"):
                continue
            is_folder = entry.is_dir(follow_symlinks=False)  # links may go in a circle
            if not is_folder or not is_made_here(Path(entry.path)):
                return False
            some = True
    return some
