"""What a user may type after a sweep: commands for its best checkpoint, for more seeds, and for its report."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clipgan.base.installed import module_command
from clipgan.base.secrets import without_passwords
from clipgan.base.text import shown_path
from sweeps.base.settings import Settings
from sweeps.points.ranking import Ranking
from sweeps.points.trial_record import TrialRecord

CHECKPOINT = "{checkpoint}"  # stands for the path in `hydra.sweeper.best_command`
REPLICAS = 3  # seeds that the command for more seeds asks for

Step = tuple[str, str]  # purpose, command


def best_checkpoint(ranking: Ranking) -> tuple[TrialRecord, int, Path] | None:
    """The checkpoint of the best point's best trial, at its best step whose file is there; None if there is none.

    A job writes the checkpoint of step N as `checkpoint-N.pt` into its run directory.

    Returns:
        The trial, the step and the file.
    """
    best = ranking.best
    if best is None:
        return None
    trial = ranking.best_trial(best)
    if (folder := trial.run_dir) is None:
        return None
    steps = trial.steps
    files = {int(path.stem.partition("-")[2]): path for path in Path(folder).glob("checkpoint-*.pt")}
    there = [step for step in files if step in steps]
    if not there:
        return None
    if trial.failed_again is not None and set(there) != set(steps):  # the rerun may have begun anew, in the same folder
        return None
    step = ranking.goal.best(there, key=steps.__getitem__)
    return trial, step, files[step]


def next_steps(ranking: Ranking, note: Mapping[str, Any] | None) -> list[Step]:
    """The commands that follow from a study's results: one for its best checkpoint, and one for more seeds.

    Args:
        ranking: of the study.
        note: the study's, from `command_line.note`; None of a study that has none.
    """
    known, steps = note or {}, []
    found = best_checkpoint(ranking)
    if found is not None and known.get("best"):
        trial, step, path = found
        where = f"of trial {trial.label} at {ranking.goal.step_name} {step}"
        command = known["best"].replace(CHECKPOINT, shlex.quote(str(shown_path(path))))
        steps.append((f"to use the best checkpoint, {where}", command))
    compared = len(ranking.points) > 1 and len(ranking.goal.names) == 1 and not ranking.incomparable
    if compared and not ranking.has_replicas and known.get("sweep") and known.get("has_seed", True):
        more = f"{known['sweep']} hydra.sweeper.replicas={REPLICAS}"
        steps.append(("to learn whether another seed changes the order", more))
    return steps


def report_command(study: str, storage: str) -> str:
    """The command that writes the report of a study.

    Args:
        study: its name.
        storage: `hydra.sweeper.storage`.
    """
    return shlex.join([*module_command("sweeps.report"), study, *_elsewhere(storage)])


def show_command(study: str, storage: str) -> str:
    """The command that shows a study: for the arguments see `report_command`."""
    return shlex.join([*module_command("sweeps.studies"), "show", study, *_elsewhere(storage)])


def _elsewhere(storage: str) -> list[str]:
    return [] if storage == Settings.storage else ["--storage", without_passwords(storage)]
