"""All trials of a study as CSV, for other tools: one row for each trial, earlier attempts included."""

import csv
import io

from sweeps.points.search_space import name_of
from sweeps.report.reading import Sweep

TIMES = ("started", "ended")


def trials_csv(sweep: Sweep) -> str:
    """The text of the file.

    Columns: trial (its number), state, the axes, replica, the objectives, the jobs' other metrics, the reported
    objective at each step (`kimg 2`), seconds, started, ended (ISO 8601, the clock of the host that ran it), reason,
    run_dir, command. An unknown value is an empty cell.
    """
    trials = sorted((*sweep.trials, *sweep.superseded), key=lambda trial: trial.number)
    goal, attributes = sweep.goal, sweep.ranking.attributes
    steps = sorted({step for trial in trials for step in trial.steps})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ["trial", "state", *sweep.axes, "replica", *goal.names, *attributes.values()]
    columns += [f"{goal.step_name} {step}" for step in steps]
    writer.writerow([*columns, "seconds", *TIMES, "reason", "run_dir", "command"])
    for trial in trials:
        values = trial.values or ((trial.value,) if trial.value is not None else ())
        cells: list[object] = [trial.label, trial.state]
        cells += [name_of(trial.point[axis]) if axis in trial.point else None for axis in sweep.axes]
        cells += [trial.replica, *values, *[None] * (len(goal.names) - len(values))]
        cells += [trial.attributes.get(name) for name in attributes]
        cells += [trial.steps.get(step) for step in steps]
        times = [None if time is None else time.isoformat() for time in (trial.started, trial.ended)]
        writer.writerow([*cells, trial.seconds, *times, trial.reason, trial.run_dir, sweep.command(trial)])
    return text.getvalue()
