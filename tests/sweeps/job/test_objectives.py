"""Reading the objectives from a job's return value."""

import math

import numpy as np
import pytest

from sweeps.job.objectives import NoObjectiveError, objectives


@pytest.mark.parametrize("returned", [12.5, np.float32(12.5), np.array(12.5), {"value": 12.5, "more": "text"}])
def test_a_finite_number_is_an_objective(returned: object) -> None:
    assert objectives(returned, ["value"], {}) == (12.5,)


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        (math.nan, "not finite: the objective is nan"),
        (-math.inf, "not finite: the objective is -inf"),
        (None, "TypeError: the objective must be a number, not None (NoneType)"),
        ("1.5", "TypeError: the objective must be a number, not '1.5' (str)"),
        (True, "TypeError: the objective must be a number, not True (bool)"),
        ([1.0], "TypeError: the objective must be a number, not [1.0] (list)"),
        ({"other": 1.0}, "KeyError: no objective value: the job gave only other"),
    ],
)
def test_anything_else_is_not(returned: object, reason: str) -> None:
    with pytest.raises(NoObjectiveError) as caught:
        objectives(returned, ["value"], {})
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("returned", "kept"),
    [
        ({"seconds": 2, "fid": 0.5}, {}),
        ([0.5, 2], {}),
        ((0.5, 2), {"seconds": 9}),
        (0.5, {"seconds": 2.0, "fid": 9}),  # what is returned is the first
    ],
)
def test_several_come_by_name_by_position_or_from_the_trial(returned: object, kept: dict[str, float]) -> None:
    assert objectives(returned, ["fid", "seconds"], kept) == (0.5, 2.0)


def test_too_many_are_refused() -> None:
    with pytest.raises(NoObjectiveError, match=r"2 objectives \(fid, seconds\), but \[1, 2, 3\]"):
        objectives([1, 2, 3], ["fid", "seconds"], {})
