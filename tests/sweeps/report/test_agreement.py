"""The table at a sweep's end, the report and MLflow's run name the same best point."""

import io
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from mlflow.entities import Metric
from rich.console import Console

from sweeps.display.mlflow_study import ParentRun
from sweeps.display.summary import PIPED_WIDTH, print_summary
from sweeps.points.ranking import Goal, Ranking
from sweeps.points.search_space import Point
from sweeps.report.page import _leaders
from sweeps.report.tables import point_table
from sweeps.search.plan import Grid, Plan
from sweeps.study.claims import SweepStudy
from tests.sweeps.report.studies import Studies, add

VALUES = {"h=1": 3.0, "h=2": 4.0, "h=3": 5.0, "h=1 repeat=8": 9.0, "h=2 repeat=8": 6.0}


class Client:
    """What MLflow is told."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}

    def get_metric_history(self, run_id: str, name: str) -> list[object]:
        return []

    def log_batch(self, run_id: str, metrics: Sequence[Metric]) -> None:
        self.metrics |= {metric.key: metric.value for metric in metrics}

    def get_run(self, run_id: str) -> SimpleNamespace:
        return SimpleNamespace(data=SimpleNamespace(tags={}))

    def set_terminated(self, run_id: str, status: str) -> None:
        pass


def sweep(studies: Studies) -> SweepStudy:
    """Three points, of which the two best by their first seed are replicated; the second seed is worse."""
    points = [Point({"h": float(h)}, (f"h={h}",)) for h in (1, 2, 3)]
    goal = Goal(names=("FID",), replicas=2, top=2, seed_key="repeat")
    plan = Plan(Grid(points), goal, 7)
    study = SweepStudy(studies.url, "s", "minimize", {"axes": ["h"], "config": {}}, print)
    study.keep_goal(goal)
    study.enqueue(plan, {"h": [1.0, 2.0, 3.0]})
    while (claim := study.claim(plan)) is not None:
        study.complete(claim, (VALUES[" ".join(claim.overrides)],), None)
    return study


def test_a_single_seed_leads_nothing(studies: Studies) -> None:
    """h=3 has the lowest mean, but only one of two seeds."""
    study = sweep(studies)
    console = Console(file=io.StringIO(), width=PIPED_WIDTH, highlight=False, markup=False)
    counts: Any = {"asked": "3 points", "n_run": 5, "n_superseded": 0, "further": []}
    print_summary(console, Ranking(study.records(), study.goal), study="s", **counts)
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    rows = [line.split()[:3] for line in printed.splitlines()]
    first = rows.index(["2", "2", "5.000"])
    assert rows[first : first + 3] == [["2", "2", "5.000"], ["1", "2", "6.000"], ["3", "1", "of"]]
    assert "best: h=2  5 ± 1.4 [4, 6] n=2  FID 5" in printed

    report = studies.read("s")
    assert report.goal == study.goal == Goal(names=("FID",), replicas=2, top=2, seed_key="repeat")
    assert _leaders(report)[0] == "Best: h=2 with FID 5 ± 1.4 [4, 6] n=2"
    assert [(row.cells[0], row.cells[4], row.best) for row in point_table(report).rows] == [
        ("2", "2", True), ("1", "2", False), ("3", "1 of 2", False),
    ]  # fmt: skip

    parent = ParentRun(Client(), "run", "sqlite:///mlflow.db", "1")  # type: ignore[arg-type]
    parent.finish("FINISHED", study.records(), study.goal)
    assert parent.client.metrics == {  # type: ignore[attr-defined]
        "best_point_FID": 5.0, "best_so_far_FID": min(VALUES.values()), "n_complete": 5, "n_fail": 0,
    }  # fmt: skip


def test_an_axis_of_the_studys_own_seed_key_gives_replicas(studies: Studies) -> None:
    study = studies.make("s", seed_key="repeat")
    for repeat in (0.0, 1.0):
        add(study, {"h": 1.0, "repeat": repeat, "seed": repeat}, [repeat])
    report = studies.read("s")
    assert (report.axes, [trial.replica for trial in report.trials]) == (("h", "seed"), [0, 1])


def test_seeds_swept_by_hand_are_asked_for_too(studies: Studies) -> None:
    """Of h=2 one seed of three is complete; its value is the lowest."""
    seeds = (0.0, 1.0, 2.0)
    points = [Point({"h": h, "seed": seed}, (f"h={h:g}", f"seed={seed:g}")) for h in (1.0, 2.0) for seed in seeds]
    plan = Plan(Grid(points))
    study = SweepStudy(studies.url, "s", "minimize", {"axes": ["h", "seed"], "config": {}}, print)
    study.keep_goal(plan.goal)
    study.enqueue(plan, {"h": [1.0, 2.0], "seed": list(seeds)})
    for value in (5.0, 6.0, 7.0, 1.0):
        claim = study.claim(plan)
        assert claim is not None
        study.complete(claim, (value,), None)
    for ranking in (studies.read("s").ranking, Ranking(study.records(), study.goal)):
        assert [(str(point), ranking.count(point)) for point in ranking.points] == [("h=1", "3"), ("h=2", "1 of 3")]


def test_a_command_that_asks_for_fewer_seeds_does_not_lower_what_was_asked_for(studies: Studies) -> None:
    study = sweep(studies)
    study.keep_goal(Goal(names=("FID",)))
    assert study.goal.replicas == 2
