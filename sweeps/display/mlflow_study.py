"""The MLflow run of a whole study, in which the runs of its trials can be nested."""

import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from clipgan.base.mlflow_store import BY_NAME, address, connect, limit_waits
from clipgan.base.secrets import without_passwords
from clipgan.base.text import first_line
from sweeps.base.errors import SweepError
from sweeps.command.command_line import sweep_command
from sweeps.points.ranking import Goal, Ranking
from sweeps.points.search_space import Space, axis_texts, merge
from sweeps.points.trial_record import TrialRecord
from sweeps.study.claims import SweepStudy
from sweeps.study.outage import telling_database_errors
from sweeps.study.rename_delete import running_elsewhere
from sweeps.study.storage import open_storage
from sweeps.study.stored_study import INTERVALS

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")
ATTRIBUTE = "mlflow_run_ids"  # note of the study: its runs, the newest last; each MLflow has some of them
MAX_BATCH = 1000  # values that MLflow takes at once
MAX_PARAM = 6000  # characters that MLflow allows in the value of a parameter; a tag may have more
NO_BEST = "no_best_point"  # tag: why the study has none
MAX_AXES = 80  # characters of the axes in a run's name


class ParentRun:
    """The MLflow run of a study."""

    def __init__(self, client: "MlflowClient", run_id: str, uri: str, experiment_id: str) -> None:
        """
        Args:
            client: of the MLflow that has the run.
            run_id: its id there.
            uri: MLflow's tracking URI.
            experiment_id: of the run.
        """
        self.client, self.run_id = client, run_id
        self._uri, self._experiment_id = uri, experiment_id

    def is_there(self) -> bool:
        """Whether MLflow answers and has the run, not deleted."""
        return _is_open_to_us(self.client, self.run_id)

    def page(self, goal: Goal | None = None) -> str:
        """Where a browser shows the trials: the best first if `goal`, with own names, is given; else by name."""
        order = BY_NAME if goal is None else (f"metrics.`{goal.names[0]}`", goal.minimizes)
        return address(self._uri, self._experiment_id, parent=self.run_id, order=order)

    def finish(self, status: str | None, records: Sequence[TrialRecord], goal: Goal) -> None:
        """Write the study's metrics so far and end the run.

        Args:
            status: FINISHED | FAILED | KILLED; None: the run goes on, because other commands work on the study.
            records: the newest trial of each task of the study.
            goal: of the study; with several objectives there is no best value.
        """
        ranking = Ranking(records, goal)
        if ranking.best is not None and len(goal.names) == 1:
            [name] = ranking.goal.names
            self._log_best_so_far(records, goal, f"best_so_far_{name}")
            self._log(f"best_point_{name}", {0: ranking.best.values[0]})
        if ranking.incomparable:
            self.client.set_tag(self.run_id, NO_BEST, " ".join(ranking.incomparable)[:MAX_PARAM])
        elif NO_BEST in self.client.get_run(self.run_id).data.tags:
            self.client.delete_tag(self.run_id, NO_BEST)
        n_complete = sum(record.state == "COMPLETE" for record in records)
        n_fail = sum(record.latest.state == "FAIL" for record in records)
        self._log("n_complete", {0: n_complete})
        self._log("n_fail", {0: n_fail})
        if status is not None:
            self.client.set_terminated(self.run_id, status)

    def _log_best_so_far(self, records: Sequence[TrialRecord], goal: Goal, name: str) -> None:
        """Write a curve: at step N, the best value among the N trials that were complete first."""
        done = [record for record in records if record.state == "COMPLETE" and record.value is not None]
        curve: dict[int, float] = {}
        for step, record in enumerate(sorted(done, key=_ended), 1):
            assert record.value is not None
            curve[step] = record.value if step == 1 else goal.best(curve[step - 1], record.value)
        self._log(name, curve)

    def _log(self, name: str, curve: dict[int, float]) -> None:
        """Write a metric at each step whose newest value is another one, as after a rerun.

        MLflow keeps no infinite value, and deletes none. So a step after the end of the curve gets the last value, the
        one that MLflow shows.
        """
        from mlflow.entities import Metric

        newest: dict[int, Metric] = {}
        for metric in self.client.get_metric_history(self.run_id, name):
            newest[metric.step] = max(metric, newest.get(metric.step, metric), key=lambda each: each.timestamp)
        last = curve[max(curve)]
        changed = []
        for step, value in ({step: last for step in newest if step > max(curve)} | curve).items():
            known, kept = newest.get(step), min(max(value, -sys.float_info.max), sys.float_info.max)
            if known is None or known.value != kept:
                now = int(time.time() * 1000)  # the clock of another host may be ahead, and MLflow shows the latest
                moment = now if known is None else max(now, known.timestamp + 1)
                changed.append(Metric(name, kept, moment, step))
        for begin in range(0, len(changed), MAX_BATCH):
            self.client.log_batch(self.run_id, metrics=changed[begin : begin + MAX_BATCH])


def _ended(record: TrialRecord) -> tuple[float, int]:
    return (record.ended.timestamp() if record.ended else 0.0, record.number)


def open_parent(
    tracking_uri: str, experiment: str, study: SweepStudy, space: Space, about: str, say: Callable[[str], None]
) -> ParentRun:
    """Reopen the study's run, or make one and note its id in the study; print the address of the sweep's page.

    Args:
        tracking_uri: MLflow's address.
        experiment: the experiment of the run.
        study: the study.
        space: the axes of this command.
        about: what all trials share, for the run's name, such as the data; may be empty.
        say: prints a line.

    Raises:
        Exception: whatever MLflow raises where it cannot be reached.
    """
    limit_waits()
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its line about every retry
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

    client, experiment_id = connect(tracking_uri, experiment)
    intervals = study.attribute(INTERVALS) or ()
    axes = axis_texts(merge(study.attribute("space") or {}, space, intervals), intervals)
    title = _title(study.base_name, axes, about)
    with study.locked():
        known = study.attribute(ATTRIBUTE) or []
        run_id = next((each for each in reversed(known) if _is_open_to_us(client, each)), None)
        if run_id is None:
            tags = {"sweep.study": study.base_name, MLFLOW_RUN_NOTE: _description(study.base_name)}
            run_id = client.create_run(experiment_id, run_name=title, tags=tags).info.run_id
            study.set_attribute(ATTRIBUTE, [*known, run_id])
    for other in known:
        if other != run_id:
            _adopt(client, experiment_id, other, run_id)
    renamed = not client.get_run(run_id).info.run_name.endswith(f"({study.base_name})")  # by a person
    client.update_run(run_id, status="RUNNING", name=None if renamed else title)
    client.set_tag(run_id, "sweep.optuna_study", study.name)
    for name, text in axes.items():
        tag = f"sweep.axis.{name.replace('@', '.')}"  # a name that MLflow allows
        client.set_tag(run_id, tag, text[:MAX_PARAM])  # not a parameter: a list of values would make
        # the axis one of words where a person compares runs
    parent = ParentRun(client, run_id, tracking_uri, experiment_id)
    say(f"to watch its trials: {parent.page()}")
    return parent


def close_parent(parent: ParentRun, study: SweepStudy, status: str) -> None:
    """End the study's run with FINISHED, FAILED or KILLED, unless other commands work on the study.

    Raises:
        Exception: whatever MLflow raises where it cannot be reached.
    """
    try:
        with telling_database_errors():
            running = running_elsewhere(open_storage(study.url), study.name)
            others = [record for record in running if record.owner]  # a trial without an owner is another tool's
            records = study.records()
    except SweepError:  # of the study, which may be deleted: the command tells it
        parent.client.set_terminated(parent.run_id, status)
    else:
        parent.finish(None if others else status, records, study.goal)


def or_warn(action: Callable[[], T], say: Callable[[str], None]) -> T | None:
    """Do something with MLflow. A failure costs one line: a tracker must not stop a sweep."""
    try:
        return action()
    except Exception as error:
        text = without_passwords(first_line(error))[:200]
        say(f"warning: MLflow cannot be used, the sweep goes on without it ({type(error).__name__}: {text})")
        return None


def _is_open_to_us(client: "MlflowClient", run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run_id).info.lifecycle_stage == "active"
    except MlflowException:  # another tracking server, or a run deleted for good
        return False


def _adopt(client: "MlflowClient", experiment_id: str, old: str, new: str) -> None:
    """Nest the trials of an earlier run of the study, which may be deleted, in its run of today."""
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    inside = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{old}'"
    page = client.search_runs([experiment_id], inside)
    found = [run.info.run_id for run in page]
    while page.token:  # all pages before the first change, which changes what matches
        page = client.search_runs([experiment_id], inside, page_token=page.token)
        found += [run.info.run_id for run in page]
    for run_id in found:
        client.set_tag(run_id, MLFLOW_PARENT_RUN_ID, new)


def _title(study: str, axes: Mapping[str, str], about: str) -> str:
    """`sweep h=0.1,0.5,2 shapes 32px (h-3f2a91c0)`: the values of the axes, what is fixed, the name of the study."""
    text = " ".join(f"{name}={values}" for name, values in axes.items())
    shown = text if len(text) <= MAX_AXES else f"{text[: MAX_AXES - 1]}…"
    return " ".join(["sweep", *filter(None, (shown, about)), f"({study})"])


def _description(study: str) -> str:
    """Markdown for its page."""
    return (
        f"The sweep of study `{study}`: its trials are the runs inside this one. Running its command again does what"
        f" is left; with further values it grows:\n\n    {sweep_command()}\n\n"
        f"`python -m sweeps.report {study}` makes a page of it, with curves and intervals."
    )
