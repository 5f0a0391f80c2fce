"""The run directories of new trials, where a lost study has left some."""

import shutil
from pathlib import Path

import pytest
import yaml

from sweeps.points.trial_record import TrialRecord
from sweeps.study.run_folders import RunFolders
from tests.sweeps.sweep_app import App


def folders(tmp_path: Path) -> RunFolders:
    return RunFolders(tmp_path, ".hydra", lambda own: ["kimg=1", *own, "cache_dir=here"], ["cache_dir", "log"])


def left(tmp_path: Path, number: int, *overrides: str) -> None:
    folder = tmp_path / str(number) / ".hydra"
    folder.mkdir(parents=True)
    (folder / "overrides.yaml").write_text(yaml.safe_dump(list(overrides)))


def tasks(*overrides: str) -> list[TrialRecord]:
    return [TrialRecord(-1, "WAITING", {}, overrides=(line,)) for line in overrides]


def test_a_point_takes_its_directory_and_another_point_none_that_is_there(tmp_path: Path) -> None:
    left(tmp_path, 0, "kimg=1", "h=0.3", "cache_dir=there", "log.x=1")  # these two keys make no other run
    left(tmp_path, 1, "kimg=1", "h=0.5")
    left(tmp_path, 2, "kimg=2", "h=2")  # another length
    (tmp_path / "4").mkdir()  # not known what ran there
    (tmp_path / "workers").mkdir()
    asked = tasks("h=0.5", "h=2", "h=7", "h=0.3", "h=8")
    assert folders(tmp_path).numbers(asked, taken=()) == [1, 3, 5, 0, 6]
    assert folders(tmp_path).numbers(asked, taken={0, 1, 2, 4, 8}) == [9, 10, 11, 12, 13]
    assert folders(tmp_path / "none").numbers(asked[:2], taken={3}) == [4, 5]


def test_references_are_compared_as_written(tmp_path: Path) -> None:
    left(tmp_path, 3, "kimg=1", "h=${C_it}", "batch=${oc.env:NOT_SET}")
    assert folders(tmp_path).numbers(tasks("h=${C_it}"), taken=()) == [0]
    left(tmp_path, 5, "kimg=1", "h=${C_it}")
    assert folders(tmp_path).numbers(tasks("h=${C_it}"), taken=()) == [5]


def test_without_hydras_files_directories_are_taken_by_number(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    by_number = RunFolders(tmp_path, None, list, [])
    assert by_number.numbers(tasks("h=1", "h=2"), taken=()) == [0, 1]


def test_a_file_that_says_nothing_is_no_error(tmp_path: Path) -> None:
    left(tmp_path, 0)
    for text in ("{", "a: b", "", "[1, [2]]"):
        (tmp_path / "0/.hydra/overrides.yaml").write_text(text)
        assert folders(tmp_path).numbers(tasks("h=1"), taken=()) == [1]


@pytest.mark.slow
def test_the_study_of_a_lost_database_finds_the_run_of_each_point(app: App) -> None:
    app.run("h=0.3,0.5", "loss=symmetric")
    for file in app.cwd.glob("sweeps.db*"):
        file.unlink()
    app.run("loss=symmetric", "h=0.1,0.5,0.3", "cache_dir=/elsewhere")
    assert sorted(app.started()[2:]) == ["0 0.3 symmetric", "1 0.5 symmetric", "2 0.1 symmetric"]
    shutil.rmtree(app.cwd / "runs")
    app.run("loss=symmetric", "h=0.1,0.5,0.3,0.7")
    assert app.started()[5:] == ["3 0.7 symmetric"]
