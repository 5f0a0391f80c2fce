"""Conditions on points."""

import pytest

from sweeps.base.errors import SweepError
from sweeps.points.where import BEYOND, Condition

VALUES = {
    "on": "true",
    "off": "False",
    "empty": "null",
    "h": 0.5,
    "C_it": 2.0,
    "C_ii": 1.0,
    "loss": "lafite",
    "S.CLIP": 2,
    "flag": True,
    "sizes": [1, 2],
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("C_it >= C_ii", True),
        ("C_it < C_ii", False),
        ("0.1 < h <= 0.5", True),
        ("0.5 < h < C_it", False),
        ("loss != 'lafite' or h == 1", False),
        ("not (loss == 'lafite' and h == 1)", True),
        ("h in [0.1, 0.5]", True),
        ("loss not in ('a', 'b')", True),
        ("1 in sizes", True),
        ("C_it + C_ii * 2 == 4", True),
        ("-C_it < -1", True),
        ("C_it / S.CLIP == 1", True),
        ("C_it // 2 % 2 == 1", True),
        ("h - 0.25 <= 0.25", True),
        ("flag", True),
        ("on", True),  # an axis has it as a name
        ("off or h > 1", False),
        ("not off and on == true", True),
        ("empty == null", True),
        ("h != None", True),
        ("flag and h > 1", False),
        ("loss != 'lafite' and h > 'text'", False),  # the second part is not looked at
    ],
)
def test_conditions_are_evaluated(text: str, expected: bool) -> None:
    assert Condition(text).holds(VALUES) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("C >= h + 1", [-1.0]),
        ("C < h", [2.0]),
        ("C <= h and loss == 'a'", [2.0, -1.0]),
        ("C <= h or loss == 'a'", [-1.0]),
        ("not C <= h", [-2.0]),
        ("1 < C <= 2", [1.0]),
        ("C != 3", [1.0]),
        ("C < 3", [BEYOND]),  # on the bound, which is outside
        ("h == 0 or C / h > 1", [-2.0]),
        ("loss in ['b', 'c']", [1.0]),
    ],
)
def test_violations_say_how_far_a_point_is_from_the_condition(text: str, expected: list[float]) -> None:
    condition, point = Condition(text), {"h": 1.0, "C": 3.0, "loss": "a"}
    assert condition.violations(point) == expected
    assert (max(expected) <= 0) == condition.holds(point)


def test_a_part_that_has_no_value_at_a_point_counts_as_not_met() -> None:
    assert Condition("h == 0 or 1 / h > 1").violations({"h": 0.0}) == [-1.0]


def test_names_are_found() -> None:
    assert Condition("S.CLIP > C_it and loss in ['a'] or not flag").names == {"S.CLIP", "C_it", "loss", "flag"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("C_it >=", r"where=C_it >= is not allowed: invalid syntax"),
        ("", "invalid syntax"),
        ("__import__('os').system('true')", r"__import__\('os'\)\.system\('true'\) is not allowed in it"),
        ("().__class__", r"\(\).__class__ is not allowed"),
        ("[h for h in sizes]", "is not allowed in it"),
        ("(lambda: 1)()", "is not allowed in it"),
        ("h ** 1000000", "Pow is not allowed"),
        ("h if flag else 1", "is not allowed in it"),
        ("sizes[0] == 1", "is not allowed in it"),
        ("h == b'x'", "is not allowed in it"),
        ("h is None", "is not allowed in it"),
        ("h = 1", "invalid syntax"),
        ("f'{h}' == 'x'", "is not allowed in it"),
    ],
)
def test_text_that_is_no_condition_is_refused(text: str, message: str) -> None:
    with pytest.raises(SweepError, match=message):
        Condition(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("h > 1 or C_it", "C_it is 2.0, neither true nor false"),
        ("not loss", "loss is 'lafite', neither true nor false"),
        ("h > loss", "at h=0.5, loss=lafite: '>' not supported between"),
        ("h / 0 > 1", "division by zero"),
        ("h + 1", r"it gives 1\.5, neither true nor false"),
    ],
)
def test_values_that_cannot_be_compared_are_refused(text: str, message: str) -> None:
    with pytest.raises(SweepError, match=message):
        Condition(text).holds(VALUES)


def test_a_name_that_does_not_exist() -> None:
    error = Condition("C_ib > 1").no_such("C_ib", list(VALUES))
    assert "there is no axis and no key C_ib; did you mean C_i" in str(error)


def test_a_choice_needs_no_quotes() -> None:
    condition = Condition("loss != lafite and h > 1", {"lafite"})
    assert condition.names == {"loss", "h"}
    assert [condition.holds({"loss": loss, "h": 2.0}) for loss in ("a", "lafite")] == [True, False]
    with pytest.raises(SweepError, match=r"hydra\.sweeper\.params\.k\.where=h \+ is not allowed"):
        Condition("h +", setting="hydra.sweeper.params.k.where")
