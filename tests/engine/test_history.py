"""A checkpoint's history: odd values, and a longer training than was asked for, are refused before the run begins."""

import math
from fractions import Fraction

import pytest

from clipgan.engine.history import History
from clipgan.engine.schedule import Schedule


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


def test_a_run_that_was_trained_further_than_a_command_asks_for_says_why():
    kimg, epochs = Schedule("kimg", 1, 1, Fraction(96, 1000)), Schedule("epoch", 2, 1, Fraction(1, 3))
    assert kimg.why_beyond(11) is None
    assert kimg.why_beyond(21) == "kimg=1 ends at step 11, and it is at step 21; give kimg=2"
    assert kimg.why_beyond(22) == "kimg=1 ends at step 11, and it is at step 22; give kimg=3"
    assert epochs.why_beyond(6) is None
    assert epochs.why_beyond(7) == "epochs=2 ends at step 6, and it is at step 7; give epochs=3"


@pytest.mark.parametrize(("seconds", "limit", "earlier", "refused"), [
    (12.2, 10, 20, True), (12.2, 10, None, True), (12.2, 10, 10, False),  # its own limit has ended it
    (10.9, 10, 20, False),  # the snapshot that is nearest to the limit
    (12.2, 20, 10, False), (12.2, None, 10, False),
])  # fmt: skip
def test_a_run_past_a_limit_of_seconds_says_why(seconds, limit, earlier, refused):
    history = History(maximised=False)
    history.recorded_units, history.recorded_seconds = 4, seconds
    said = "seconds=10 ends earlier, and it has 12.2 s of training; give seconds=13"
    assert history.why_beyond(limit, earlier) == (said if refused else None)
