"""What the benches share, and that each bench can be imported and explains itself."""

import importlib
import json
import sys
from pathlib import Path

import pytest

from bench import measuring
from clipgan.base.errors import UserError
from tests.helpers import ROOT

BENCHES = [path.stem for path in sorted((ROOT / "bench").glob("*.py")) if "def main()" in path.read_text()]


@pytest.mark.parametrize("name", BENCHES)
def test_each_bench_prints_its_docstring(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    bench = importlib.import_module(f"bench.{name}")
    with pytest.raises(SystemExit) as end:
        bench.main()
    assert end.value.code is None
    assert capsys.readouterr().out.strip() == bench.__doc__.strip()
    assert f"python -m bench.{name}" in bench.__doc__


@pytest.mark.parametrize("name", BENCHES)
def test_a_mistake_is_one_message(name, monkeypatch):
    def mistaken(*_args, **_options):
        raise UserError("h=x is not allowed")

    bench = importlib.import_module(f"bench.{name}")
    monkeypatch.setattr(bench, "arguments", mistaken)
    with pytest.raises(SystemExit, match="h=x is not allowed"):
        bench.main()


def test_options_are_told_from_overrides(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bench", "model=base", "rounds=1", "C_it=0,1"])
    assert measuring.arguments("", rounds=3, photos=2) == ({"rounds": 1, "photos": 2}, ["model=base", "C_it=0,1"])


@pytest.mark.parametrize("word", ["rounds=0", "rounds=-1", "rounds=1.5", "rounds=", "rounds"])
def test_an_option_is_a_positive_whole_number(word, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bench", word])
    with pytest.raises(SystemExit, match=f"{word} is not allowed: rounds must be a whole number from 1"):
        measuring.arguments("", rounds=3)


def test_actions_take_turns():
    done = []
    times = measuring.in_turns({"a": lambda: done.append("a"), "b": lambda: done.append("b")}, 3)
    assert done == ["a", "b"] * 3
    assert {name: len(record) for name, record in times.items()} == {"a": 3, "b": 3}
    assert min(min(record) for record in times.values()) >= 0


def test_a_ratio_is_taken_round_by_round():
    """The machine is ten times as slow in the second round."""
    assert measuring.ratio([2, 20, 2.2], [1, 10, 1]) == 2


def test_a_record_names_the_machine_and_the_command(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bench", "rounds=1"])
    measuring.write("x", tmp_path / "new", cells=[1])
    record = json.loads((tmp_path / "new" / "x.json").read_text())
    assert record.pop("machine")["cores"] > 0
    assert record == {"arguments": ["rounds=1"], "cells": [1]}
