"""Tasks: points with their seeds."""

from collections.abc import Sequence

import pytest

from sweeps.points.ranking import Goal
from sweeps.points.search_space import Point
from sweeps.points.trial_record import TrialRecord
from sweeps.search.plan import Grid, Plan, shuffled
from tests.sweeps.records import record

POINTS = [Point({"h": float(h)}, (f"h={h}",)) for h in (1, 2, 3)]
SEED = 7


def plan(replicas: int = 1, top: int | None = None, direction: str = "minimize") -> Plan:
    return Plan(Grid(POINTS), Goal(directions=(direction,), replicas=replicas, top=top), SEED)


def said(tasks: Sequence[TrialRecord]) -> list[tuple[str, ...]]:
    return [task.overrides for task in tasks]


def test_one_task_a_point() -> None:
    assert said(plan().more([])) == [("h=1",), ("h=2",), ("h=3",)]
    assert said(plan().more([record(2, 0, "FAIL")])) == [("h=1",), ("h=3",)]
    assert len(plan()) == 3


def test_replicas_come_after_a_first_pass_and_extend_a_study() -> None:
    three = plan(replicas=3)
    assert said(three.more([]))[2:5] == [("h=3",), ("h=1", "seed=8"), ("h=2", "seed=8")]
    assert len(three) == len(three.more([])) == 9
    known = [record(h, 0, value=1.0) for h in (1, 2, 3)]
    assert said(three.more(known)) == [(f"h={h}", f"seed={seed}") for seed in (8, 9) for h in (1, 2, 3)]
    assert not plan().wants(record(1, 2))


def test_a_point_with_a_pruned_replica_is_not_run_on() -> None:
    known = [record(1, 0, "PRUNED"), record(2, 0, value=1.0), record(3, 0, value=1.0)]
    assert said(plan(replicas=2).more(known)) == [("h=2", "seed=8"), ("h=3", "seed=8")]


def test_a_point_of_another_study_gets_no_replicas() -> None:
    known = [record(1, 0, value=1.0, origin="s#3"), record(2, 0, value=1.0), record(3, 0, value=1.0)]
    assert said(plan(replicas=2).more(known)) == [("h=2", "seed=8"), ("h=3", "seed=8")]
    assert plan().n_open(known) == 0


@pytest.mark.parametrize(("direction", "best"), [("minimize", (1, 3)), ("maximize", (2, 3))])
def test_only_the_best_of_the_first_pass_are_replicated(direction: str, best: tuple[int, int]) -> None:
    top = plan(replicas=3, top=2, direction=direction)
    assert said(top.more([])) == [("h=1",), ("h=2",), ("h=3",)]
    assert len(top) == 3 + 2 * 2
    known = [record(1, 0, value=0.1), record(2, 0, value=0.9), record(3, 0, "RUNNING")]
    assert top.more(known) == []  # the last may be better
    assert top.pending(known)
    known[2] = record(3, 0, value=0.5)
    expected = [(f"h={h}", f"seed={seed}") for seed in (8, 9) for h in best]
    assert said(top.more(known)) == expected
    bad_seed = [*known, record(best[0], 1, value=0.5)]  # does not change which are the best
    assert said(top.more(bad_seed)) == expected[1:]


def test_a_task_is_labelled() -> None:
    three = plan(replicas=2)
    tasks = three.more([])
    assert [three.label(tasks[1], 9), three.label(tasks[4], 9)] == ["2 of 3  h=2", "2 of 3  h=2  seed=8"]


def test_a_mixed_grid_has_the_same_points_and_always_the_same_order() -> None:
    grid = [Point({"h": float(h)}, (f"h={h}",)) for h in range(25)]
    order = shuffled(grid)
    assert order == shuffled(grid) != grid
    assert sorted(order, key=lambda point: point.values["h"]) == grid


def sequential(limit: int | None = None) -> Plan:
    return Plan(Grid(POINTS), Goal(replicas=12, error=0.05), SEED, limit)


def noisy(seeds: int, points: Sequence[int] = (1, 2, 3)) -> list[TrialRecord]:
    """The points 1 and 2 are near each other, and the third is far away."""
    values = {1: [0.0, 0.3, 0.1, 0.2], 2: [0.3, 0.2, 0.5, 0.4], 3: [50.0, 50.2, 50.1, 50.3]}
    return [record(h, seed, value=values[h][seed]) for seed in range(seeds) for h in points]


def test_sequential_replicas_go_to_the_points_that_are_not_decided() -> None:
    plan = sequential()
    assert len(plan.more([])) == 9
    assert plan.more([*noisy(2), *noisy(3)[6:8], record(3, 2, "RUNNING")]) == []  # which points go on is not known yet
    assert said(plan.more(noisy(3))) == [("h=1", "seed=10"), ("h=2", "seed=10")]
    assert plan.n_open(noisy(3)) == 2
    assert said(sequential(limit=11).more(noisy(3))) == [("h=1", "seed=10"), ("h=2", "seed=10")]
    assert sequential(limit=10).more(noisy(3)) == []
    assert (len(plan), len(sequential(limit=10))) == (36, 10)


def test_sequential_replicas_go_on_without_a_point_that_has_failed() -> None:
    known = [*noisy(3)[:-1], record(3, 2, "FAIL")]
    assert said(sequential().more(known)) == [("h=1", "seed=10"), ("h=2", "seed=10")]
    assert sequential().more([*noisy(3, (1, 3)), *(record(2, seed, "FAIL") for seed in range(3))]) == []


def test_the_end_of_sequential_replicas_has_a_reason() -> None:
    def why(records: list[TrialRecord], most: int = 12, limit: int | None = None) -> str | None:
        return Plan(Grid(POINTS), Goal(replicas=most, error=0.05), SEED, limit).why_no_further_seed(records)

    told = "the best point is told from all others"
    assert why(noisy(3, (1, 3))) == told
    assert why([*noisy(3, (1, 3)), record(2, 0, "FAIL")]) == f"{told} without a failed seed"
    assert why([*noisy(3, (1, 3)), *noisy(2, (2,)), record(2, 2, "FAIL")]) == f"{told} without a failed seed"
    assert why([*noisy(3), *noisy(4, (1, 2))[6:]], most=4) == (
        "the points within noise of the best have hydra.sweeper.replicas_max=4 seeds each"
    )
    assert why(noisy(3), limit=10) == "those of the undecided points do not fit into hydra.sweeper.replicas_trials=10"
    costs = {1: (1.0, 2.0, 1.5), 2: (1.1, 1.9, 1.6)}
    flat = [record(h, seed, value=value) for h, values in costs.items() for seed, value in enumerate(values)]
    assert str(why(flat, most=4)).startswith("up to hydra.sweeper.replicas_max=4 seeds would probably not tell")
    assert why([*noisy(3)[:-1], record(3, 2, "RUNNING")]) is None
    assert Plan(Grid(POINTS), Goal(replicas=3), SEED).why_no_further_seed(noisy(3)) is None
