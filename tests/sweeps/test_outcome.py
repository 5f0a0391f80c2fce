"""What counts as an objective."""

import math

import numpy as np
import pytest

from sweeps.outcome import objective, reason_of


@pytest.mark.parametrize("returned", [12.5, np.float32(12.5), np.array(12.5)])
def test_a_finite_number_is_an_objective(returned: object) -> None:
    assert objective(returned) == (12.5, None)


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        (math.nan, "not finite: the objective is nan"),
        (-math.inf, "not finite: the objective is -inf"),
        (None, "TypeError: the objective must be a number, not None (NoneType)"),
        ("1.5", "TypeError: the objective must be a number, not '1.5' (str)"),
        (True, "TypeError: the objective must be a number, not True (bool)"),
        ([1.0], "TypeError: the objective must be a number, not [1.0] (list)"),
    ],
)
def test_anything_else_is_not(returned: object, reason: str) -> None:
    assert objective(returned) == (None, reason)


def test_a_reason_is_one_line() -> None:
    assert reason_of(ArithmeticError("loss is nan\n  at step 3")) == "ArithmeticError: loss is nan at step 3"
    assert len(reason_of(ValueError("x" * 1000))) == 300
