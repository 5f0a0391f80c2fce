"""Recognise folders that clipgan and MLflow write, which may lie among the data: runs, sweeps, artifacts, the cache."""

import os
import re
from contextlib import suppress
from pathlib import Path

from PIL import Image

from clipgan.base import lookup, run_lock
from clipgan.base.cache import is_entry
from clipgan.base.pictures import GRID, SAMPLED, SOFTWARE

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
        known = _is_run(folder) or _is_artifacts(folder) or is_entry(folder) or _is_of_workers(folder)
        return known or _has_samples(folder) or _holds_only_these(folder)
    except OSError:
        return False


def _is_run(folder: Path) -> bool:
    begun = lookup.is_file(folder / SETTINGS) and any(lookup.is_file(folder / name) for name in RECORDS)
    return begun or all(lookup.exists(folder / name) for name in PREPARING)


def _is_artifacts(folder: Path) -> bool:
    return ARTIFACTS.fullmatch(folder.name) is not None and lookup.is_dir(folder / "artifacts")


def _is_of_workers(folder: Path) -> bool:
    """Whether it has the logs of a sweep's workers, and nothing else."""
    return folder.name == "workers" and all(name.endswith(".log") for name in os.listdir(folder))


def _has_samples(folder: Path) -> bool:
    """Whether `clipgan.sample` has written its grid there."""
    grid = folder / GRID
    if not lookup.is_file(grid):
        return False
    with suppress(OSError, SyntaxError, ValueError), Image.open(grid, formats=["PNG"]) as image:
        return image.info.get(SOFTWARE) == SAMPLED
    return False


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
