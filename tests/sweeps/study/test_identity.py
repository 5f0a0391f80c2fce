"""The identity of a study: which settings make another study."""

import re
from typing import Any

import pytest
from omegaconf import OmegaConf

from sweeps.study.identity import derived_name, differences, identity_of

CONFIG = {
    "h": 0.5, "batch": 16, "cache_dir": "/a", "loss": {"name": "symmetric", "weight": "${h}"}, "hydra": {"mode": 1},
    "mlflow": {"uri": "a", "on": True}, "mlflow_like": 1,
}  # fmt: skip


def name(axes: list[str], **changes: Any) -> str:
    config = OmegaConf.create({**CONFIG, **changes})
    return derived_name(identity_of(config, axes, ["cache_dir", "mlflow"]))


def test_the_name_is_readable_and_hashed() -> None:
    assert re.fullmatch(r"C_it-h-[0-9a-f]{8}", name(["h", "C_it"]))
    assert re.fullmatch(r"single-[0-9a-f]{8}", name([]))
    assert re.fullmatch(r"model.clip.encoder-[0-9a-f]{8}", name(["model/clip@encoder"]))
    assert len(name([f"axis{i}" for i in range(50)])) == 40 + 1 + 8


def test_axes_and_ignored_keys_are_not_part_of_it() -> None:
    base = name(["h", "loss"])
    assert name(["loss", "h"]) == base
    assert name(["h", "loss"], h=7, loss={"name": "lafite", "more": 1}) == base
    assert name(["h", "loss"], cache_dir="/b", mlflow={"uri": "b"}, hydra={"mode": 2}) == base
    assert name(["h", "loss"], batch=16.0) == base


def test_everything_else_is() -> None:
    base = name(["h"])
    assert name(["loss"]) != base
    assert name(["h"], batch=32) != base
    assert name(["h"], loss={"name": "lafite", "weight": "${h}"}) != base
    assert name(["h"], mlflow_like=2) != base


def test_an_axis_of_a_package_drops_that_package() -> None:
    assert name(["clip@loss"]) == name(["clip@loss"], loss=None)
    assert name(["clip@loss"]) != name(["clip@loss"], batch=None)


def test_a_reference_within_its_section_is_the_same_one_from_the_top() -> None:
    absolute = {"clip": {"name": "a", "model": "${clip.name}", "train": {"seed": ["${clip.seed}"]}, "seed": 1}}
    relative = {"clip": {"name": "a", "model": "${.name}", "train": {"seed": ["${..seed}"]}, "seed": 1}}
    assert name(["h"], **relative) == name(["h"], **absolute)
    assert name(["h"], top="${.batch}") == name(["h"], top="${batch}")


def test_differences_name_the_keys() -> None:
    old = identity_of(OmegaConf.create({"a": {"b": 1}, "c": 2, "h": 0}), ["h"], [])
    new = identity_of(OmegaConf.create({"a": {"b": 3}, "d": 4, "h": 0}), ["h"], [])
    assert differences(old, new) == [
        "a.b is 3, the study's 1",
        "c is (absent), the study's 2",
        "d is 4, the study's (absent)",
    ]
    assert differences(old, old) == []
    swept = identity_of(OmegaConf.create({"a": {"b": 1}, "c": 2, "h": 0}), ["h", "c"], [])
    assert differences(old, swept) == ["axes are c, h, the study's h"]


def test_a_fixed_override_below_a_swept_group_is_part_of_it() -> None:
    config = OmegaConf.create({"loss": {"name": "a", "weight": 2}, "h": 1})
    plain = identity_of(config, ["loss"], [], ["h=1"])
    assert plain["config"] == {"h": 1}
    given = identity_of(config, ["loss"], [], ["h=1", "loss.weight=2"])
    assert given["config"] == {"h": 1, "loss.weight": 2}
    unset = identity_of(config, ["loss"], ["db.cache"], ["db.user=me", "db.cache=x"], ["db.user=me", "db.cache=x"])
    assert unset["config"] == {"h": 1, "db.user": "me"}


def test_the_value_in_place_of_an_axis_that_some_points_lack_is_part_of_it() -> None:
    one, other = (identity_of(OmegaConf.create({"h": h, "k": h}), ["h", "k"], [], partial=["h"]) for h in (1, 2))
    assert (one["axes"], one["config"], other["config"]) == (["h", "k"], {"h": 1}, {"h": 2})


@pytest.mark.parametrize(("written", "variables", "expected"), [
    ("${oc.env:HH}", {"HH": "0.3"}, "0.3"),
    ("${oc.decode:${oc.env:HH}}", {"HH": "0.3"}, "${oc.decode:0.3}"),
    ("${h}/${oc.env:HH}/x", {"HH": "a"}, "${h}/a/x"),  # a key's own value is a part of the identity
    (["${oc.env:HH}", {"k": "${oc.env:HH,1}"}], {"HH": "a"}, ["a", {"k": "a"}]),
    ("${oc.env:HH,${oc.env:KK,7}}", {"KK": "8"}, "8"),
    ("${oc.env:HH,${h}}", {}, "${h}"),  # its default
    ("${oc.env:HH,'/a b'}", {}, "/a b"),
    ("${oc.env:HH}", {}, "${oc.env:HH}"),
    ("${oc.env:URL}", {"URL": "postgresql://me:hunter2@host/db"}, "postgresql://me:***@host/db"),
    ("${oc.env:AWS_SECRET_ACCESS_KEY}", {"AWS_SECRET_ACCESS_KEY": "hunter2"}, "${oc.env:AWS_SECRET_ACCESS_KEY}"),
    ({"password": "${oc.env:HH}"}, {"HH": "hunter2"}, "${oc.env:HH}"),
])  # fmt: skip
def test_a_variable_of_the_environment_counts_by_its_value_and_a_secret_as_written(
    written: Any, variables: dict[str, str], expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    [found] = identity_of(OmegaConf.create({"k": written}), [], [])["config"].values()
    assert found == expected
    config = OmegaConf.create({"k": 1, "cache": {"dir": "${oc.env:HH}"}, "axis": "${oc.env:HH}"})
    assert identity_of(config, ["axis"], ["cache"])["config"] == {"k": 1}
