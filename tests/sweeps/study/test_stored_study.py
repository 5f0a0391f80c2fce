"""What a study knows of its axes."""

import re
from pathlib import Path

import pytest

from sweeps.base.errors import SweepError
from sweeps.search.plan import Grid, Plan
from sweeps.study.claims import SweepStudy

NOTHING = Plan(Grid([]))


def test_an_interval_is_extended_where_it_grows(tmp_path: Path) -> None:
    said: list[str] = []
    study = SweepStudy(f"sqlite:///{tmp_path}/s.db", "s", "minimize", {"axes": ["h"], "config": {}}, said.append)
    study.enqueue(NOTHING, {"h": [0.0, 1.0]})
    study.set_attribute("intervals", ["h"])
    study.enqueue(NOTHING, {"h": [0.2, 0.6]})
    assert (said, study.attribute("space")) == ([], {"h": [0.0, 1.0]})
    study.enqueue(NOTHING, {"h": [0.5, 2.0]})
    assert (said, study.attribute("space")) == (["study s is extended: h=0 to 2"], {"h": [0.0, 2.0]})


TAKES_OVER = "derived. A new study takes over its complete trials with hydra.sweeper.warm_start=[s]"


@pytest.mark.parametrize(("seed", "hint"), [(0, TAKES_OVER), (1, "or null to have one derived")])
def test_a_study_of_another_version_can_be_taken_over(tmp_path: Path, seed: int, hint: str) -> None:
    """Its settings lack those that are new."""
    url, old = f"sqlite:///{tmp_path}/s.db", {"axes": ["h"], "config": {"seed": 0}}
    SweepStudy(url, "s", "minimize", old, print)
    with pytest.raises(SweepError, match=f"belongs to another configuration: .*{re.escape(hint)}$"):
        SweepStudy(url, "s", "minimize", {"axes": ["h"], "config": {"seed": seed, "new": 1}}, print)
