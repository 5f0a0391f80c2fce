"""The registry of measures and their files: the same names, and the same needs."""

from dataclasses import replace

import pytest

from clipgan.config import MEASURES, MOMENTS, NEEDS, Need
from clipgan.metrics.evaluation import load_measure
from clipgan.metrics.measure import FEATURES, JUDGED, LOGITS, REDRAWN, Measure
from tests.helpers import ROOT, make_config

FILES = {path.stem for path in (ROOT / "clipgan" / "metrics" / "measures").glob("*.py")} - {"__init__"}


def test_each_measure_has_a_line_and_a_file():
    assert {*MEASURES, "fid"} == FILES  # FID is always due


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_measure_needs_what_its_rows_are_made_by(name):
    measure = load_measure(name)
    assert isinstance(measure, Measure)
    shared = {FEATURES, LOGITS, JUDGED, REDRAWN}
    assert ({*measure.rows} <= shared) == (type(measure).extractors is Measure.extractors)  # others are its own
    assert {*measure.reals} <= {*measure.rows}
    needs = NEEDS.get(name, ())
    assert (Need.REDRAWN in needs) == (REDRAWN in measure.rows)
    assert (Need.INCEPTION in needs) == (LOGITS in measure.rows)
    assert Need.JUDGE in needs or JUDGED not in measure.rows


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_is_due_when_its_key_says_so(name):
    metrics = make_config().metrics
    for moment, due in zip(MOMENTS, ([], [True], [False, True]), strict=True):
        changed = replace(metrics, extractor="inception", **{name: moment})
        assert [last for last in (False, True) if name in changed.due(last)] == due
        assert (name in changed.asked()) == (moment != "never")
