"""A study in PostgreSQL."""

import pytest

from sweeps.points.search_space import Point
from sweeps.search.plan import Grid, Plan
from sweeps.study.claims import SweepStudy
from tests.sweeps import postgres as server


@pytest.mark.slow
def test_a_study_lives_in_it(postgres: server.Server) -> None:
    url = postgres.create("lives")
    study = SweepStudy(url, "s", "minimize", {"axes": ["h"], "config": {}}, print)
    plan = Plan(Grid([Point({"h": h}, (f"h={h}",)) for h in (1.0, 2.0)]))
    study.enqueue(plan, {"h": [1.0, 2.0]})
    claim = study.claim(plan)
    assert claim is not None
    study.complete(claim, (3.5,), None)
    again = SweepStudy(url, "s", "minimize", {"axes": ["h"], "config": {}}, print)
    assert [(record.state, record.value) for record in again.records()] == [("COMPLETE", 3.5), ("WAITING", None)]
