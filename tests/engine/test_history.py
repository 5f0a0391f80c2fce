"""A checkpoint's history: values of other types are refused before the run begins."""

import math

import pytest

from clipgan.engine.history import History


@pytest.mark.parametrize(("key", "value"), [
    ("records", 5), ("records", "abc"), ("records", [1]), ("records", ["{}\n{}"]), ("figures", 5),
    ("figures", {"fid": "x"}), ("objective_sd", "x"), ("mark", "x"), ("mark", -1), ("train_seconds", math.nan),
    ("train_seconds", -1.0), ("tick", 5),
])  # fmt: skip
def test_odd_values_are_refused(key, value):
    history = History(maximised=False)
    history.snapshots, history.records = [(0, 1.0)], ["{}"]
    state = history.state_dict()
    History(maximised=False).load(state)
    with pytest.raises((ValueError, TypeError, AttributeError)):
        History(maximised=False).load(state | {key: value})
