"""MLflow's store, and where it keeps the files of runs."""

import shutil
from pathlib import Path

from clipgan.base.mlflow_store import connect


def test_a_moved_or_copied_database_says_where_files_go(mlflow_store, tmp_path, monkeypatch, capsys):
    def said(folder: Path) -> str:
        connect(f"sqlite:///{folder}/mlflow.db", "e")
        return capsys.readouterr().out

    here = tmp_path / "a b"
    mlflow_store(here / "mlflow.db")
    monkeypatch.chdir(here)  # MLflow keeps the files of an experiment where it was made
    assert said(here) == said(here) == ""
    files = here / "mlruns" / "1"
    files.mkdir(parents=True)
    copied = tmp_path / "copied"
    shutil.copytree(here, copied)
    assert f"e keeps its files in {files}, not beside the moved database: the files of this run go there" in said(
        copied
    )
    shutil.rmtree(copied / "mlruns")
    assert said(copied) == ""  # a database may lie elsewhere
    here.rename(tmp_path / "moved")
    assert f"keeps its files in {files}, not" in said(tmp_path / "moved")
