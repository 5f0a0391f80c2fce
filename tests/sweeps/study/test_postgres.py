"""A study in PostgreSQL."""

import pytest

from sweeps.points.search_space import Point
from sweeps.search.plan import Grid, Plan
from sweeps.study.claims import SweepStudy
from sweeps.study.storage import open_storage
from tests.sweeps import postgres as server


@pytest.mark.slow
def test_a_study_lives_in_it(postgres: server.Server) -> None:
    url = postgres.create("lives")
    study = SweepStudy(url, "s", "minimize", {"axes": ["h"], "config": {}}, print)
    plan = Plan(Grid([Point({"h": h}, (f"h={h}",)) for h in (1.0, 2.0)]))
    study.enqueue(plan, {"h": [1.0, 2.0]})
    claim = study.claim(plan)
    assert claim is not None
    open_storage(study.url).set_trial_intermediate_value(claim.key, 1, 4.5)
    study.complete(claim, (3.5,), None)
    again = SweepStudy(url, "s", "minimize", {"axes": ["h"], "config": {}}, print)
    assert [(record.state, record.value) for record in again.records()] == [("COMPLETE", 3.5), ("WAITING", None)]
    other = SweepStudy(url, "other", "minimize", {"axes": ["h"], "config": {}}, print)
    other.enqueue(plan, {"h": [1.0, 2.0]}, warm_start=["s"])
    again.enqueue(plan, {"h": [1.0, 2.0]}, retry=["COMPLETE"])
    seen = [[(r.state, r.value, r.steps) for r in s.records() if r.point["h"] == 1] for s in (other, again)]
    assert seen == [[("COMPLETE", 3.5, {1: 4.5})], [("WAITING", None, {1: 4.5})]]


@pytest.mark.slow
def test_a_study_in_it_gets_new_choices(postgres: server.Server) -> None:
    study = SweepStudy(postgres.create("grows"), "s", "minimize", {"axes": ["h"], "config": {}}, print)
    study.enqueue(Plan(Grid([Point({"h": 2.0}, ("h=2",))])), {"h": [2.0]})
    study.enqueue(Plan(Grid([Point({"h": "auto"}, ("h=auto",))])), {"h": ["auto"]})
    assert [record.point for record in study.records()] == [{"h": "2"}, {"h": "auto"}]
