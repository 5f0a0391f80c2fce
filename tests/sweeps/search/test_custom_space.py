"""Further values of a point, which a function of the user's suggests."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import BaseTrial

from sweeps.base.errors import SweepError
from sweeps.points.layout import Layout
from sweeps.points.search_space import Values
from sweeps.search.custom_space import CustomSpace
from sweeps.search.in_memory_study import in_memory_study
from sweeps.search.sampling import SampledPoints
from tests.sweeps.search.test_sampling import axes, drawn, run

AXES = axes("x=range(-2,3)", "+h=interval(0,1)", "flag=true,false")
VALUES = {"x": -1.0, "h": 0.5, "flag": "True"}


def space(function: Callable[[BaseTrial], object], reserved: Mapping[str, str] | None = None) -> CustomSpace:
    return CustomSpace("app.configure", function, AXES, reserved or {})


def around_x(trial: BaseTrial) -> None:
    trial.suggest_float("z", trial.params["x"] - 0.5, trial.params["x"] + 0.5)
    trial.suggest_int("+n", 1, 4)


def ask() -> BaseTrial:
    return in_memory_study("ask", ["minimize"], []).ask()


def test_the_function_sees_what_the_job_gets() -> None:
    seen: list[Mapping[str, Any]] = []

    def function(trial: BaseTrial) -> None:
        around_x(trial)
        seen.append(trial.params)

    found = space(function).drawn(VALUES, ask())
    assert seen[0] == {"x": -1, "+h": 0.5, "flag": True, "z": found.params["z"], "+n": found.params["n"]}
    assert -1.5 <= found.params["z"] <= -0.5
    assert found.point.values == {**VALUES, **found.params}
    assert found.point.overrides[3:] == (f"z={found.params['z']}", f"+n={found.params['n']}")
    assert found.distributions == {"z": FloatDistribution(-1.5, -0.5), "n": IntDistribution(1, 4)}


@pytest.mark.parametrize(
    ("choice", "value", "override"),
    [
        ("a b", "a b", "z=a b"),
        ("x,y", "x,y", "z='x,y'"),
        ("it's", "it's", "z='it\\'s'"),
        ("1", "1", "z='1'"),
        (None, "null", "z=null"),
        (2, 2.0, "z=2"),
    ],
)
def test_a_choice_comes_to_the_job_as_it_is(choice: Any, value: Any, override: str) -> None:
    asked = space(lambda trial: trial.suggest_categorical("z", [choice]))
    found = asked.drawn(VALUES, ask())
    assert found.point.values["z"] == value
    assert found.point.overrides[-1] == override
    stored = FloatDistribution(2.0, 2.0) if choice == 2 else CategoricalDistribution([value])
    assert found.point.distributions == {"z": stored}
    known = asked.known(found.point.values)
    assert known is not None
    assert known.point == found.point


@pytest.mark.parametrize(
    ("further", "is_known"),
    [
        ({"z": -0.5, "n": 4.0}, True),
        ({"z": -0.4, "n": 4.0}, False),
        ({"z": -0.5, "n": 2.5}, False),
        ({"z": "a", "n": 4.0}, False),
        ({"z": -0.5}, False),
        ({"z": -0.5, "n": 4.0, "k": 1.0}, False),
    ],
)
def test_a_point_is_known_if_the_function_would_suggest_it_today(further: Values, is_known: bool) -> None:
    assert (space(around_x).known({**VALUES, **further}) is not None) == is_known
    lines = ["x=range(-2,3)", "+h=interval(0,1)", "flag=true,false"]
    assert drawn(lines, custom=space(around_x)).accepts({**VALUES, **further}) == is_known


def fails(trial: BaseTrial) -> None:
    raise RuntimeError("too far\nfrom home")


def both(trial: BaseTrial) -> None:
    trial.suggest_float("+z", 0, 1)
    trial.suggest_float("z", 0, 1)


NUMBERS = itertools.count()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (fails, r"app.configure at x=-1  h=0.5  flag=True: RuntimeError: too far$"),
        (lambda trial: trial.suggest_float("+x", 0, 1), r"\+x cannot be suggested: it is an axis"),
        (both, r"z cannot be suggested beside \+z"),
        (lambda trial: trial.suggest_float("z=1", 0, 1), "HydraException"),
        (lambda trial: trial.suggest_float("~z", 0, 1), "is no key of an override"),
        (lambda trial: trial.suggest_float(f"z{next(NUMBERS)}", 0, 1), "the same names and ranges whenever"),
    ],
)
def test_a_mistake_in_the_function_is_one_message(function: Callable[[BaseTrial], object], message: str) -> None:
    with pytest.raises(SweepError, match=message):
        space(function, {"x": "it is an axis"}).drawn(VALUES, ask())


def further_bowl(values: Values) -> list[float]:
    return [abs(float(values["z"]) - float(values["x"]) - 0.4)]


def test_a_sampler_learns_the_further_values() -> None:
    """The objective depends on nothing else, and the range of `z` moves with `x`."""
    lines = axes("x=0,0.1,0.2")
    source = SampledPoints(
        Layout(lines),
        drawn(["x=1"], "tpe").sampler,
        n_trials=40,
        directions=["minimize"],
        exists=lambda values: True,
        custom=CustomSpace("f", lambda t: t.suggest_float("z", t.params["x"] - 5, t.params["x"] + 5), lines, {}),
    )
    known = run(source, further_bowl)
    assert len(known) == 40
    costs = [result.values[0] for result in known]
    assert sum(costs[-10:]) < 0.6 * sum(costs[:10])
    again = [source.points(known[:n])[-1] for n in (0, 20)]
    assert [point.values for point in again] == [known[0].point, known[20].point]


def test_points_to_begin_with_get_further_values_too() -> None:
    source = drawn(["x=range(-2,3)", "+h=interval(0,1)", "flag=true,false"], custom=space(around_x), first=[VALUES])
    [point] = source.points([])
    assert {**point.values, **VALUES} == point.values
    assert -1.5 <= float(point.values["z"]) <= -0.5
