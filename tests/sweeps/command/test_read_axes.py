"""Axes that depend on each other: unions of grids, and axes with a condition."""

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from sweeps.base.errors import SweepError
from sweeps.command.read_axes import read_axes
from sweeps.points.layout import Layout


def read(params: dict[str, Any], *arguments: str) -> tuple[Layout, list[str]]:
    return read_axes(params, arguments, OverridesParser.create())


def points(layout: Layout) -> list[str]:
    return [str(point) for point in layout.points()]


def test_axes_that_move_together_multiply_the_others_as_one() -> None:
    pairs = [{"C_it": 0.5, "C_ii": 1}, {"C_it": 1, "C_ii": "2"}]
    layout, fixed = read({"weights": pairs, "loss": "a,b"}, "batch=8")
    assert points(layout) == [
        "C_it=0.5  C_ii=1  loss=a",
        "C_it=0.5  C_ii=1  loss=b",
        "C_it=1  C_ii=2  loss=a",
        "C_it=1  C_ii=2  loss=b",
    ]
    assert fixed == ["batch=8"]
    assert layout.always == ["C_it", "C_ii", "loss"]
    assert layout.lines() == ["weights: C_it=0.5 C_ii=1 | C_it=1 C_ii=2"]


def test_a_union_of_grids_has_each_point_once() -> None:
    layout, _ = read({"arms": [{"h": [1, 2], "k": [3, "b"]}, {"h": 2, "k": "3,b"}, {"+n": "range(1,3)"}, {}]})
    assert points(layout) == ["h=1  k=3", "h=1  k=b", "h=2  k=3", "h=2  k=b", "+n=1", "+n=2", "(no axis)"]
    assert layout.always == []
    assert [layout.fits(values) for values in ({"h": 1.0, "k": "b"}, {"n": 2.0}, {})] == [True] * 3
    assert [layout.fits(values) for values in ({"h": 1.0}, {"n": 3.0}, {"h": 1.0, "k": "b", "n": 1.0})] == [False] * 3


def test_a_conditional_axis_multiplies_only_its_own_points() -> None:
    layout, _ = read({"h": {"values": [0.1, 2], "where": "loss == b"}, "loss": "a,b"})
    layout = Layout(layout.axes, layout.unions, layout.conditions, {"h": lambda values: values["loss"] == "b"})
    assert points(layout) == ["loss=a", "h=0.1  loss=b", "h=2  loss=b"]
    assert layout.fits({"loss": "a"})
    assert not layout.fits({"loss": "a", "h": 2.0})
    assert not layout.fits({"loss": "b"})
    assert layout.always == ["loss"]
    assert layout.lines() == ["h only where loss == b"]
    assert layout.examples() == [
        ("loss", {"loss": "a"}),
        ("loss", {"loss": "b", "h": 0.1}),
        ("h", {"loss": "b", "h": 0.1}),
        ("h", {"loss": "b", "h": 2.0}),
    ]


def test_the_command_line_gives_a_conditional_axis_other_values_or_fixes_it() -> None:
    params = {"h": {"values": "0.1,2", "where": "loss == b"}}
    layout, _ = read(params, "h=3,4")
    assert (layout.axes[0].examples, layout.conditions) == ([3.0, 4.0], {"h": "loss == b"})
    layout, fixed = read(params, "h=3")
    assert (layout.axes, layout.conditions, fixed) == ([], {}, ["h=3"])


@pytest.mark.parametrize(
    ("params", "arguments", "message"),
    [
        (
            {"w": [{"h": 1}, 3]},
            (),
            r"params.w=\[\{h: 1\}, 3\] is not allowed: it must be values as on",
        ),
        ({"h": {"values": "1,2"}}, (), "params.h={values: 1,2} is not allowed"),
        ({"h": {"where": "k > 1"}}, ("k=1,2",), "params.h has a condition and no values; give them, as in h=0.1,0.5"),
        ({"w": [{"h": 1}, {"h": 2}]}, ("h=1,2",), "h is an axis twice, once in hydra.sweeper.params.w; leave one out"),
        ({"w": [{"h": 1}], "v": [{"h": 2}]}, (), "h is an axis twice, once in hydra.sweeper.params.v"),
        ({"w": [{"h": []}]}, (), r"h=\[\] gives no value"),
        (
            {},
            ("h=${oc.env:HH},1",),
            r"h=\$\{oc.env:HH\},1 is not allowed: an axis needs the value itself.*written as \$HH",
        ),
        ({"w": [{"h": "${oc.env:HH}"}, {"h": 2}]}, (), r"h=choice\(\$\{oc.env:HH\}\) is not allowed"),
        ({"w": [{"h": "interval(0,1)"}, {"h": 2}]}, (), "an interval must be the same in each of its grids"),
    ],
)
def test_what_is_none_of_these_is_refused(params: dict[str, Any], arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(SweepError, match=message):
        read(params, *arguments)
