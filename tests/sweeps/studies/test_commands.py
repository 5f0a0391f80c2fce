"""The commands for studies, as a user gives them."""

import csv
import os
import pty
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.artifacts import FileSystemArtifactStore, download_artifact, get_all_artifact_meta
from optuna.trial import TrialState
from pyarrow import parquet

from clipgan.base.installed import with_this_python
from sweeps.studies.__main__ import main
from tests.sweeps.report.studies import Studies, add, grid
from tests.sweeps.sweep_app import App
from tests.users import as_nobody, public_folder

Run = Callable[..., str]


@pytest.fixture
def run(studies: Studies, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run a command on the studies, and return what it prints; a message that ends it too."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, refused: bool = False) -> str:
        monkeypatch.setattr(sys, "argv", ["__main__.py", *arguments, "--storage", studies.url])
        if not refused:
            main()
            return capsys.readouterr().out
        with pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, str), "not one message"
        return end.value.code

    return run


def test_the_list_has_a_row_for_each_study(studies: Studies, run: Run) -> None:
    grid(studies.make("h-1"))
    studies.make("h-2")
    lines = run("list").splitlines()
    assert lines[0].startswith("2 studies in sqlite:")
    assert lines[2].split()[:6] == ["study", "complete", "pruned", "fail", "running", "waiting"]
    assert lines[4].split()[:10] == ["h-1", "8", "1", "1", "0", "0", "objective", "20", "loss=symmetric", "h=0.5"]
    assert lines[5].split() == ["h-2", "0", "0", "0", "0", "0", "objective", "-", "-", "-"]


def test_a_study_is_shown_as_at_the_end_of_its_sweep(studies: Studies, run: Run) -> None:
    grid(studies.make("h-1", command={"program": "t.py", "fixed": [], "sweep": "python t.py -m h=1,2"}))
    out = run("show")
    assert "study h-1\n" in out
    assert "best: trial 2  loss=symmetric  h=0.5  objective 20" in out
    assert "failed: trial 8  loss=asymmetric  h=1  DivergenceError: nan" in out
    assert "to go on with it, or to extend it:\n    " + with_this_python("python t.py -m h=1,2\n") in out
    assert f"-m sweeps.report h-1 --storage {studies.url}" in out


def test_a_study_of_another_folder_is_continued_there(
    studies: Studies, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command without a storage takes `sweeps.db` of its folder: from here, it would begin another study."""
    studies.url = f"sqlite:///{tmp_path}/sweeps.db"
    grid(studies.make("h-1", command={"program": "t.py", "fixed": [], "sweep": "python t.py -m h=1,2"}))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert f"to go on with it, or to extend it, in {tmp_path}:\n" in run("show")
    monkeypatch.chdir(tmp_path)
    assert "to go on with it, or to extend it:\n" in run("show")
    with public_folder() as folder:  # a colleague's, which this user can only read
        shutil.copy(tmp_path / "sweeps.db", folder)
        studies.url = f"sqlite:///{folder}/sweeps.db"
        with as_nobody():
            assert f"to go on with it, or to extend it, in {folder}:\n" in run("show")


def test_an_export_has_all_trials_and_their_types(studies: Studies, run: Run) -> None:
    study = studies.make("h 1")
    grid(study)
    add(study, {"loss": "symmetric", "h": 0.1}, [7.0], steps={2: 8.0})
    assert run("export") == "h_1.csv\n"
    rows = list(csv.DictReader(Path("h_1.csv").read_text().splitlines()))
    assert run("export", "--out", "all.parquet") == "all.parquet\n"
    table = parquet.read_table("all.parquet")
    assert table.column_names == list(rows[0])
    types = [str(table.schema.field(name).type) for name in ("trial", "h", "loss", "objective", "seconds", "reason")]
    assert types == ["int64", "double", "string", "double", "double", "string"]
    for name, read in (("h", float), ("objective", float), ("loss", str), ("state", str)):
        assert table[name].to_pylist() == [read(row[name]) if row[name] else None for row in rows], name
    assert len(rows) == 11  # the earlier attempt too
    assert run("export", "--out", "all.xls", refused=True) == (
        "--out all.xls is not allowed: it must end in .csv or .parquet"
    )


def test_a_column_of_numbers_and_words_and_a_name_twice(studies: Studies, run: Run) -> None:
    study = studies.make("s")
    add(study, {"h": 1.0, "state": "plain"}, [1.0], **{"job.note": [1, 2]})
    add(study, {"h": 2.0}, [1.0], **{"job.note": "none"})
    run("export", "--out", "s.parquet")
    table = parquet.read_table("s.parquet")
    assert table["state"].to_pylist() == ["COMPLETE", "COMPLETE"]
    assert table["state 2"].to_pylist() == ["plain", None]
    assert table["note"].to_pylist() == ["[1, 2]", "none"]


def test_parquet_without_pyarrow_is_one_message(studies: Studies, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    studies.make("s")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    message = run("export", "--out", "s.parquet", refused=True)
    assert message.startswith("s.parquet cannot be written: Parquet needs pyarrow (")
    assert not Path("s.parquet").exists()


def test_a_name_that_is_not_there_is_one_message_with_what_is_close(studies: Studies, run: Run) -> None:
    for name in ("h-3f2a", "h-77aa", "loss-1b2c"):
        studies.make(name)
    assert "did you mean h-3f2a or h-77aa? those there are: h-3f2a, h-77aa, loss-1b2c" in run(
        "show", "h-", refused=True
    )
    assert ": did you mean loss-1b2c? those" in run("delete", "los-1b2c", "--yes", refused=True)
    assert ": those there are:" in run("rename", "another", "x", refused=True)
    assert run("show", refused=True).startswith("which study in sqlite:")
    assert len(optuna.get_all_study_names(studies.url)) == 3


def test_a_study_is_deleted_and_its_run_directories_stay(studies: Studies, run: Run, tmp_path: Path) -> None:
    (tmp_path / "runs" / "s" / "0").mkdir(parents=True)
    add(studies.make("s"), {"h": 1.0}, [1.0], run_dir=str(tmp_path / "runs" / "s" / "0"))
    add(studies.make("another"), {"h": 1.0}, [1.0])
    assert "there is no terminal to ask on; add --yes" in run("delete", "s", refused=True)
    out = run("delete", "s", "--yes")
    assert "deleted: study s with 1 trial (1 COMPLETE) in sqlite:" in out
    assert f"its run directories stay, in {tmp_path}/runs/s, and its runs in MLflow" in out
    assert f"To remove the directories: rm -r {tmp_path}/runs/s\n" in out
    assert (tmp_path / "runs" / "s" / "0").is_dir()
    assert optuna.get_all_study_names(studies.url) == ["another"]
    assert len(studies.read("another").trials) == 1


def test_directories_beside_another_database_are_not_to_be_removed(
    studies: Studies, run: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    original = tmp_path_factory.mktemp("original") / "runs" / "s" / "0"
    original.mkdir(parents=True)
    add(studies.make("s"), {"h": 1.0}, [1.0], run_dir=str(original))
    out = run("delete", "s", "--yes")
    assert f"its run directories stay, in {original.parent}, and its runs in MLflow" in out
    assert "rm -r" not in out


def test_directories_of_interrupted_trials_are_named_and_the_working_directory_is_not_removed(
    studies: Studies, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "runs" / "s" / "0").mkdir(parents=True)
    folder = tmp_path / "runs" / "s"
    study = studies.make("s", command={"program": "train.py", "fixed": [], "folder": str(folder)})
    add(study, {"h": 1.0}, state=TrialState.WAITING)
    out = run("delete", "s", "--yes")
    assert f"stay, in {folder}, and its runs in MLflow, where" in out
    assert "rm -r" not in out  # another study may use it
    add(studies.make("here"), {"h": 1.0}, [1.0], run_dir=str(Path.cwd() / "0"))
    out = run("delete", "here", "--yes")
    assert f"stay, in {Path.cwd()}, and" in out
    assert "rm -r" not in out


@pytest.mark.parametrize(("answer", "left"), [("n", ["s"]), ("", ["s"]), ("y", [])])
def test_a_terminal_is_asked_before_a_study_is_deleted(
    studies: Studies, run: Run, monkeypatch: pytest.MonkeyPatch, answer: str, left: list[str]
) -> None:
    studies.make("s")
    terminal, side = pty.openpty()
    with os.fdopen(side) as stdin, os.fdopen(terminal, "w") as typed:
        monkeypatch.setattr(sys, "stdin", stdin)
        typed.write(f"{answer}\n")
        typed.flush()
        if left:
            assert run("delete", "s", refused=True) == "nothing is deleted"
        else:
            assert "delete study s with 0 trials" in run("delete", "s")
    assert optuna.get_all_study_names(studies.url) == left


def test_a_study_that_another_tool_runs_is_not_deleted(studies: Studies, run: Run) -> None:
    optuna.create_study(study_name="s", storage=studies.url).ask()
    told = "study s runs: trial 0; another tool has it: end it there first, as with `optuna tell`"
    assert run("delete", "s", "--yes", refused=True) == told


def test_a_new_name_must_be_free_and_a_name(studies: Studies, run: Run) -> None:
    studies.make("s")
    studies.make("taken")
    studies.make("renamed", family="first")  # its command finds it by this name
    for new in ("taken", "first", "renamed", "s"):
        assert run("rename", "s", new, refused=True).startswith(f"there is a study {new} already")
    for new in ("a/b", ".."):
        assert run("rename", "s", new, refused=True).startswith(f"'{new}' is not allowed as a name")
    assert optuna.get_all_study_names(studies.url) == ["s", "taken", "renamed"]


def test_the_newest_picture_of_each_trial_is_an_artifact(studies: Studies, run: Run, tmp_path: Path) -> None:
    study = studies.make("s")
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        for kimg in (1, 2):
            (folder / f"samples-{kimg}.png").write_bytes(b"picture %d %d" % (number, kimg))
            os.utime(folder / f"samples-{kimg}.png", (kimg, kimg))
        add(study, {"h": float(number)}, [1.0], run_dir=str(folder))
    add(study, {"h": 3.0}, [1.0])  # has no folder
    out = run("pictures")
    assert "2 pictures of study s are in artifacts, 2 of them new" in out
    assert f"    optuna-dashboard {studies.url} --artifact-dir artifacts\n" in out
    assert "2 of them new" not in run("pictures")
    store = FileSystemArtifactStore("artifacts")
    for number, trial in enumerate(study.get_trials()):
        found = get_all_artifact_meta(trial, storage=study._storage)
        assert [(meta.filename, meta.mimetype) for meta in found] == [("samples-2.png", "image/png")] * (number < 2)
        for meta in found:
            download_artifact(artifact_store=store, artifact_id=meta.artifact_id, file_path="copy")
            assert Path("copy").read_bytes() == b"picture %d 2" % number
            Path("copy").unlink()


@pytest.mark.slow
def test_a_running_study_stays_and_a_renamed_one_goes_on_in_its_folder(
    app: App, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("h=0.1,0.5", "mode=checkpoint")
    sweep = app.start(*command)
    app.await_file("hanging")
    name = app.study().study_name
    for asked in (("delete", name, "--yes"), ("rename", name, "new")):
        assert run(*asked, refused=True).startswith(f"study {name} runs: trial 0 on ")
    sweep.send_signal(signal.SIGINT)
    app.end(sweep, status=130)
    assert f"study {name} is called new now" in run("rename", name, "new")
    (app.cwd / "go").touch()
    out = app.run(*command)
    assert "study new\n" in out
    assert "-m sweeps.report new" in out
    assert optuna.get_all_study_names(app.url) == ["new"]
    assert len(app.trials(state=TrialState.COMPLETE)) == 2
    assert {path.name for path in (app.cwd / "runs").iterdir()} == {name}
    assert (app.cwd / "runs" / name / "0" / "steps.log").read_text().split() == [
        f"{w}" for n in range(1, 5) for w in ("step", n)
    ]
    assert run("export", name) == "new.csv\n"
