"""The ranking of points."""

import pytest

from sweeps.base.errors import SweepError
from sweeps.points.ranking import aggregate_named, by_point, pareto_front
from tests.sweeps.records import record


def test_points_aggregate_their_replicas() -> None:
    known = [record(1, 1, value=4.0), record(1, 0, value=1.0), record(2, 0, value=3.0), record(2, 1, "RUNNING"),
             record(3, 0, "FAIL"), record(3, 1, value=9.0)]  # fmt: skip
    one, two, three = by_point(known, aggregate_named("mean"))
    assert (one.state, one.values, one.by_seed) == ("COMPLETE", (2.5,), {0: 1.0, 1: 4.0})
    assert (two.state, two.values) == ("RUNNING", (3.0,))
    assert (three.state, three.values) == ("COMPLETE", (9.0,))
    assert by_point([record(1, 0, "FAIL")], aggregate_named("mean"))[0].state == "FAIL"
    assert by_point([record(1, 0, value=1.0), record(1, 1, "PRUNED")], aggregate_named("mean"))[0].state == "PRUNED"


@pytest.mark.parametrize(
    ("name", "value"), [("mean", 2.75), ("median", 2.0), ("q75", 3.0), ("q0", 1.0), ("q50", 2.0), ("q90", 4.8)]
)
def test_aggregates(name: str, value: float) -> None:
    assert aggregate_named(name)([6.0, 2.0, 1.0, 2.0]) == pytest.approx(value)


@pytest.mark.parametrize("name", ["max", "q", "q100", "q-5", ""])
def test_no_such_aggregate(name: str) -> None:
    with pytest.raises(
        SweepError, match=r"aggregate=.* is not allowed: it must be mean, median, or a quantile such as q75"
    ):
        aggregate_named(name)


def test_the_pareto_front() -> None:
    values = [(1.0, 5.0), (2.0, 2.0), (3.0, 3.0), (2.0, 2.0), (0.5, 9.0), (1.0, 6.0)]
    assert pareto_front(values, ["minimize", "minimize"]) == [0, 1, 3, 4]
    assert pareto_front(values, ["minimize", "maximize"]) == [4]
    assert pareto_front([], ["minimize", "minimize"]) == []
