"""A study knows the code that has run it, and a command says where it changed."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clipgan.base.checkout import checkout_of
from sweeps.report.reading import read
from sweeps.study.claims import SweepStudy
from sweeps.study.stored_study import CODE
from sweeps.workers.code_version import FILES, note_code, version_of
from tests.helpers import git


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A task function in a checkout of git."""
    (tmp_path / "some_task.py").write_text("def task(config):\n    return 1\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    spec: Any = importlib.util.spec_from_file_location("some_task", tmp_path / "some_task.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "some_task", module)
    function: Callable[..., Any] = module.task
    return function


def test_a_study_has_the_versions_of_its_code_and_a_change_is_one_line(
    task: Callable[..., Any], tmp_path: Path
) -> None:
    said: list[str] = []
    study = SweepStudy(f"sqlite:///{tmp_path}/s.db", "s", "minimize", {"axes": ["h"], "config": {}}, said.append)

    def note() -> str:
        note_code(study, task, said.append)
        return str(study.attribute(CODE)[-1])

    first = note()
    assert first == git(tmp_path, "rev-parse", "HEAD")[:12]
    (tmp_path / "notes.txt").write_text("no code")
    assert note() == first
    assert said == []
    (tmp_path / "some_task.py").write_text("def task(config):\n    return 2\n")
    second = note()
    assert second.startswith(f"{first} with uncommitted changes (")
    assert said == [f"study s goes on with other code: {second}; the command before had {first}"]
    (tmp_path / "some_task.py").write_text("def task(config):\n    return 3\n")
    third = note()
    assert third.startswith(f"{first} with uncommitted changes (")
    assert note() == third
    assert len(said) == 2
    git(tmp_path, "checkout", "--quiet", ".")
    assert note() == first
    assert read(study.url, "s").code == (second, third, first)  # as the report shows it


def test_code_outside_of_a_checkout_has_the_version_of_its_package(tmp_path: Path) -> None:
    assert checkout_of(tmp_path / "gone.py", FILES) is None
    assert version_of(pytest.main) == f"pytest {pytest.__version__}"
    assert version_of(eval) is None
