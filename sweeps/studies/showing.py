"""Print the studies of a storage, and one of them."""

from collections import Counter
from pathlib import Path

from optuna import get_all_study_names
from rich import box
from rich.table import Table

from clipgan.base.text import counted, shown_path
from sweeps.base.settings import Settings
from sweeps.command.next_steps import next_steps, report_command
from sweeps.display.summary import new_console, print_steps, print_study
from sweeps.display.table import single
from sweeps.report.reading import Sweep, read
from sweeps.study.lookup import open_made, shown_url
from sweeps.study.storage import absolute_url, sqlite_file

STATES = ("COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING")


def print_list(storage: str) -> None:
    """Print a row for each study, by age.

    Raises:
        SweepError: the storage cannot be used.
    """
    console, database = new_console(), open_made(storage)
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("study", *(state.lower() for state in STATES), "objective", "best", "at", "last trial"):
        left = column in ("study", "objective", "at")
        table.add_column(column, justify="left" if left else "right", overflow="fold")
    names = get_all_study_names(database)
    for name in names:
        table.add_row(name, *_row(read(storage, name)))
    console.print(f"{counted(len(names), 'study', 'studies')} in {shown_url(database.url)}")
    if names:
        console.print(table, soft_wrap=False)


def _row(sweep: Sweep) -> list[str]:
    states = Counter(trial.state for trial in sweep.trials)
    best = sweep.ranking.best
    times = [time for trial in sweep.trials for time in (trial.started, trial.ended) if time is not None]
    return [
        *(str(states[state]) for state in STATES),
        ", ".join(sweep.goal.names),
        "-" if best is None else ", ".join(map(single, best.values)),
        "-" if best is None else str(best),
        f"{max(times):%Y-%m-%d %H:%M}" if times else "-",
    ]


def print_one(storage: str, study: str | None) -> None:
    """Print a study as a sweep does at its end: its trials, what they say, and commands.

    Raises:
        SweepError: there is no such study.
    """
    console, sweep = new_console(), read(storage, study)
    print_study(console, sweep.ranking, sweep.name, len(sweep.superseded))
    for line in sweep.dependencies:
        console.print(line)
    folders = dict.fromkeys(str(shown_path(Path(t.run_dir).parent)) for t in sweep.trials if t.run_dir is not None)
    if folders:
        console.print(f"run directories: in {', '.join(folders)}")
    again = (sweep.note or {}).get("sweep") or ""
    steps = [("to go on with it, or to extend it", again)] if again else []
    if sweep.slurm_jobs:
        steps.append(("to see which of its Slurm jobs run or wait", f"squeue --jobs={','.join(sweep.slurm_jobs)}"))
    report = "to see curves, pictures and all trials", report_command(sweep.name, storage)
    steps += next_steps(sweep.ranking, sweep.note)
    where = _other_folder(storage, again) if again else ""
    placed = [(f"{what}{where}" if again in command else what, command) for what, command in steps]
    print_steps(console, [*placed, report])


def _other_folder(storage: str, command: str) -> str:
    """Say where a sweep's command is to be given: without a storage of its own, it takes the database of its folder."""
    file, default = sqlite_file(absolute_url(storage, writes=False)), sqlite_file(Settings.storage)
    if file is None or default is None or file.name != default.name or "hydra.sweeper.storage=" in command:
        return ""
    return "" if file.parent.resolve() == Path.cwd().resolve() else f", in {file.parent}"
