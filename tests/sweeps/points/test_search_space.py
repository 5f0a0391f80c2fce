"""Overrides become axes and points."""

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from sweeps.base.errors import SweepError
from sweeps.points.layout import Layout
from sweeps.points.search_space import (
    AnyAxis,
    Interval,
    Space,
    axes_and_fixed,
    axis_texts,
    conform,
    job_overrides,
    merge,
    point_at,
    point_id,
    space_of,
)


def parse(*lines: str) -> tuple[list[AnyAxis], list[str]]:
    return axes_and_fixed(OverridesParser.create().parse_overrides(list(lines)))


@pytest.mark.parametrize(
    ("line", "name", "values", "overrides"),
    [
        ("h=0.1,0.5,2", "h", [0.1, 0.5, 2.0], ["h=0.1", "h=0.5", "h=2"]),
        ("h=2,2.0,1", "h", [2.0, 1.0], ["h=2", "h=1"]),
        ("h=1e-3,1", "h", [0.001, 1.0], ["h=0.001", "h=1"]),
        ("h=-0.0,1", "h", [0.0, 1.0], ["h=-0.0", "h=1"]),
        ("n=range(1,4)", "n", [1.0, 2.0, 3.0], ["n=1", "n=2", "n=3"]),
        ("x=range(0,1,0.5)", "x", [0.0, 0.5], ["x=0.0", "x=0.5"]),
        ("n=choice(1,8)", "n", [1.0, 8.0], ["n=1", "n=8"]),
        ("loss=symmetric,asymmetric", "loss", ["symmetric", "asymmetric"], ["loss=symmetric", "loss=asymmetric"]),
        ("clip=ViT-B32,ViT-L14@336", "clip", ["ViT-B32", "ViT-L14@336"], ["clip=ViT-B32", "clip=ViT-L14@336"]),
        ("clip@judge=a,b", "clip@judge", ["a", "b"], ["clip@judge=a", "clip@judge=b"]),
        ("+new=a,b", "new", ["a", "b"], ["+new=a", "+new=b"]),
        ("x='a b',c", "x", ["a b", "c"], ["x='a b'", "x=c"]),
        ("x=null,1,2.0", "x", ["null", "1", "2"], ["x=null", "x=1", "x=2.0"]),
        ("flag=true,false", "flag", ["True", "False"], ["flag=True", "flag=False"]),
        ("sizes=[1,2],[3]", "sizes", ["[1,2]", "[3]"], ["sizes=[1,2]", "sizes=[3]"]),
    ],
)
def test_a_choice_list_is_an_axis(line: str, name: str, values: list[object], overrides: list[str]) -> None:
    [axis], fixed = parse(line)
    assert axis.name == name
    assert axis.listed == values
    assert [point.overrides for point in Layout([axis]).points()] == [(override,) for override in overrides]
    assert fixed == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("h=interval(1,1)", r"h=interval\(1,1\) is not allowed.*the first be less"),
        ("h=interval(0,inf)", r"h=interval\(0,inf\) is not allowed.*finite"),
        ("h=tag(log,interval(0,1))", r"is not allowed: a logarithmic interval must be above 0"),
        ("h=tag(slow,interval(0,1))", r"is not allowed: the only tag of an axis is log, not slow"),
        ("n=range(1,1)", r"n=range\(1,1\) gives no value"),
    ],
)
def test_an_override_that_is_no_axis_is_refused(line: str, message: str) -> None:
    with pytest.raises(SweepError, match=message):
        parse(line)


def test_the_product_of_the_axes() -> None:
    axes, fixed = parse("loss=symmetric", "h=1,2", "C_it=5,6")
    assert fixed == ["loss=symmetric"]
    assert [dict(point.values) for point in Layout(axes).points()] == [
        {"h": 1.0, "C_it": 5.0},
        {"h": 1.0, "C_it": 6.0},
        {"h": 2.0, "C_it": 5.0},
        {"h": 2.0, "C_it": 6.0},
    ]
    assert Layout(axes).points()[1].overrides == ("h=1", "C_it=6")


def test_without_axes_there_is_one_point() -> None:
    axes, fixed = parse("h=1", "loss=symmetric")
    assert [dict(point.values) for point in Layout(axes).points()] == [{}]
    assert fixed == ["h=1", "loss=symmetric"]


def test_the_last_override_of_a_key_counts() -> None:
    axes, fixed = parse("h=0.1,0.2", "C_it=1,2", "h=1")
    assert ([axis.name for axis in axes], fixed) == (["C_it"], ["h=1"])
    axes, fixed = parse("h=0.1,0.2", "h=0.3,0.4")
    assert (space_of(axes), fixed) == ({"h": [0.3, 0.4]}, [])


@pytest.mark.parametrize(
    ("old", "new", "merged"),
    [
        ({}, {"h": [1.0]}, {"h": [1.0]}),
        ({"h": [0.1, 0.5]}, {"h": [0.5, 1.0]}, {"h": [0.1, 0.5, 1.0]}),
        ({"loss": ["a", "b"]}, {"loss": ["b", "c"]}, {"loss": ["a", "b", "c"]}),
        ({"h": [0.5, 2.0]}, {"h": ["auto", "2"]}, {"h": ["0.5", "2", "auto"]}),
    ],
)
def test_spaces_merge(old: Space, new: Space, merged: Space) -> None:
    assert merge(old, new) == merged


def test_an_interval_keeps_its_outer_bounds_and_is_shown_as_one() -> None:
    merged = merge({"h": [0.0, 1.0, 0.5, 2.0], "k": [0.0, 1.0]}, {"h": [0.2, 0.6], "k": [0.5]}, ["h"])
    assert merged == {"h": [0.0, 2.0], "k": [0.0, 1.0, 0.5]}
    assert axis_texts(merged, ["h"]) == {"h": "0 to 2", "k": "0,1,0.5"}
    names = merge(merged, {"h": ["auto"]}, ["h"])
    assert axis_texts(names, ["h"])["h"] == "0,2,auto"


def test_a_number_is_a_name_on_an_axis_of_names() -> None:
    assert conform({"h": 2.0, "x": 0.5}, {"h": ["2", "auto"], "x": [0.5]}) == {"h": "2", "x": 0.5}


def test_a_point_has_one_id_whatever_the_order_of_its_axes() -> None:
    assert point_id({"a": 1.0, "b": "x"}) == point_id({"b": "x", "a": 1.0})
    assert point_id({"a": 1.0}) == point_id({"a": "1"})  # on an axis of names a number is its name
    assert point_id({"a": 1.0}) != point_id({"a": 1.5})


@pytest.mark.parametrize(
    ("line", "interval"),
    [
        ("h=interval(0.1,2)", Interval("h", "h", 0.1, 2.0, log=False, integer=False)),
        ("h=interval(1,8)", Interval("h", "h", 1.0, 8.0, log=False, integer=False)),
        ("+n=int(interval(1,8))", Interval("n", "+n", 1.0, 8.0, log=False, integer=True)),
        ("h=tag(log,interval(0.01,10))", Interval("h", "h", 0.01, 10.0, log=True, integer=False)),
        ("h=tag(log,int(interval(1,100)))", Interval("h", "h", 1.0, 100.0, log=True, integer=True)),
    ],
)
def test_an_interval_is_an_axis(line: str, interval: Interval) -> None:
    [axis], _ = parse(line)
    assert axis == interval
    assert str(axis) == line.removeprefix("+")
    assert space_of([axis]) == {axis.name: [interval.low, interval.high]}


@pytest.mark.parametrize(
    ("values", "fitting"),
    [
        ({"h": 2.0, "n": 8.0, "loss": "a"}, True),  # the bounds of an interval are included
        ({"h": 2.1, "n": 8.0, "loss": "a"}, False),
        ({"h": 0.5, "n": 2.5, "loss": "a"}, False),
        ({"h": 0.5, "n": 2.0, "loss": "c"}, False),
        ({"h": "auto", "n": 2.0, "loss": "a"}, False),
        ({"h": 0.5, "n": 2.0}, False),
    ],
)
def test_points_that_fit_a_space(values: dict[str, float | str], fitting: bool) -> None:
    axes, _ = parse("h=interval(0.1,2)", "n=int(interval(1,8))", "loss=a,b")
    assert Layout(axes).fits(values) is fitting


def test_a_point_is_spelled_for_its_job() -> None:
    axes, _ = parse("+h=interval(0,2)", "n=int(interval(1,8))", "x='a b',c", "k=1e0,2")
    point = point_at(axes, {"k": 1.0, "x": "a b", "n": 3.0, "h": 0.00001})
    assert point.overrides == ("+h=1e-05", "n=3", "x='a b'", "k=1.0")


@pytest.mark.parametrize(
    "lines",
    [
        ["h=1,2", "batch=8", "C=3,4"],
        ["~d", "+d={z:1}", "h=1,2"],
        ["h=1,2", "~d.a", "+d.a=5"],
        ["+n=1", "n=2", "h=1,2"],
        ["h=1,2", "+n=1", "h=3,4"],  # replaced where it stood
        ["h=1,2", "x=0", "h=3"],
        ["+n=1,2", "n=3"],
        ["+n=1,2", "x=0", "n=3,4"],
        ["db@k1=mysql,pg", "db@k1.port=1", "+db@k2=mysql,pg"],
        ["++h=1,2", "h=3,4", "+h=5"],
    ],
)
def test_the_jobs_are_those_of_hydras_own_sweeper_in_its_order(lines: list[str]) -> None:
    axes, fixed = parse(*lines)
    jobs = [job_overrides(axes, fixed, point.overrides) for point in Layout(axes).points()]
    [theirs] = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(lines), None)
    assert jobs == [[line.removesuffix("=null") if line[0] == "~" else line for line in job] for job in theirs]
    assert len({point_id(point.values) for point in Layout(axes).points()}) == len(jobs)


def test_a_job_queued_by_an_earlier_command_keeps_its_seed_and_the_order_of_this_one() -> None:
    axes, fixed = parse("batch=8", "+h=1,2", "loss=a,b", "x=1")
    assert job_overrides(axes, fixed, ("loss=a", "h=1", "seed=3")) == ["batch=8", "h=1", "loss=a", "x=1", "seed=3"]


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("s='1',1", ["'1'", "1"]),
        ("s=true,'true',null,'null'", ["True", "true", "null", "'null'"]),
        ("s='a',a", ["a"]),  # both are the string
        ("s='1','2'", ["1", "2"]),
        ("n=9007199254740992,9007199254740993", ["9007199254740992", "9007199254740993"]),
        ("n=1,inf,nan", ["1", "inf", "nan"]),
        (f"n=1,{10**400}", ["1", str(10**400)]),
    ],
)
def test_different_values_stay_different(line: str, values: list[str]) -> None:
    [axis], _ = parse(line)
    assert axis.examples == values
    assert len({axis.override(value) for value in values}) == len(values)
