"""The command of one trial."""

import itertools
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from sweeps.command.command_line import command_of, note, wider_axes
from sweeps.points.search_space import Axis, Interval
from sweeps.points.trial_record import TrialRecord


def test_a_command_for_a_shell() -> None:
    known = {"program": "train.py", "fixed": ["kimg=2"]}
    command = command_of(known, ["loss=symmetric", "h=0.5", "seed=1"])
    assert command == "python train.py kimg=2 loss=symmetric h=0.5 seed=1"
    assert command_of(None, ["name=it's $HOME"]) == """python train.py 'name=it'"'"'s $HOME'"""
    assert command_of({"program": "clipgan-train", "fixed": []}, ["h=1"]) == "clipgan-train h=1"


@pytest.fixture(autouse=True)
def _script(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that was started by its path."""
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)


def test_a_module_is_shown_as_it_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pkg.mod", "pkg.mod.__main__"):
        monkeypatch.setattr(sys.modules["__main__"], "__spec__", ModuleSpec(name, None))
        assert command_of(note(["kimg=2"], Path("runs")), ["h=1"]) == "python -m pkg.mod kimg=2 h=1"


def test_the_program_as_seen_from_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    places = (("train.py",) * 2, (f"{tmp_path}/a/b.py", "a/b.py"), ("/elsewhere/c.py",) * 2, ("/venv/bin/d-e", "d-e"))
    for given, shown in places:
        monkeypatch.setattr(sys, "argv", [given])
        known = {name: note(["kimg=2"], Path("runs"))[name] for name in ("program", "flags", "fixed")}
        assert known == {"program": shown, "flags": [], "fixed": ["kimg=2"]}


def test_a_command_with_fewer_values_than_the_study_is_kept_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    axes = [Axis("x", "+x", {5.0: "5"}), Axis("loss", "loss", {"a": "a"}), Axis("y", "y", {1.0: "1", 2.0: "2"})]
    records = [
        TrialRecord(
            number, "COMPLETE", {"x": x, "loss": loss, "y": y}, overrides=(f"x={x}", f"loss='{loss}'", f"y={y}")
        )
        for number, (x, loss, y) in enumerate(itertools.product((3.0, 5.0), ("b c", "a"), (1.0, 2.0)))
    ]
    wider = wider_axes(axes, records)
    assert wider == ["+x=3.0,5", "loss='b c',a"]
    assert wider_axes(axes, records[1:]) == []  # the product has a point that nobody has asked for
    assert wider_axes([*axes, Interval("z", "z", 0.0, 1.0, False, False)], records) == []
    monkeypatch.setattr(sys, "argv", ["app.py", "-m", "+x=5", "y=1,2"])  # a config has the axis `loss`
    assert note([], Path("runs"), wider=wider)["sweep"] == """python app.py -m +x=3.0,5 y=1,2 'loss='"'"'b c'"'"',a'"""


def test_what_was_asked_for_once_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    once = ["hydra.sweeper.rerun=COMPLETE", "++hydra.sweeper.retry_failed=true", "hydra.sweeper.dry_run=measure"]
    monkeypatch.setattr(sys, "argv", ["app.py", "-m", "h=1,2", *once, "hydra.sweeper.workers=2", "rerun=3"])
    assert note([], Path("runs"))["sweep"] == "python app.py -m h=1,2 hydra.sweeper.workers=2 rerun=3"


def test_where_the_configuration_was_is_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "argv", ["train.py", "--config-dir", "my conf", "-m", "h=1,2", "--config-name=other", "-cn"]
    )
    known = note(["kimg=2"], Path("runs"))
    assert command_of(known, ["h=1"]) == "python train.py --config-dir 'my conf' --config-name=other kimg=2 h=1"
