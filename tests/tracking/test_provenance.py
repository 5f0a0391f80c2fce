"""What a run is started from is written down, and no password with it."""

import json
import sys

import pytest
from mlflow import MlflowClient

from clipgan.tracking import provenance
from tests import warm
from tests.helpers import ROOT, git
from tests.tiny import tiny
from tests.tracking.logs import run_id


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository of git with a package in it, in the place of this one."""
    (tmp_path / "clipgan").mkdir()
    (tmp_path / "clipgan" / "main.py").write_text("a = 1\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path / "clipgan")
    return tmp_path


def test_the_commit_and_whether_the_code_differs_from_it(checkout):
    commit = git(checkout, "rev-parse", "HEAD")
    (checkout / "notes.txt").write_text("no code")
    record = provenance.describe("cpu")
    assert (record["commit"], record["dirty"]) == (commit, False)
    assert provenance.tags(record)["clipgan.commit"] == commit
    (checkout / "clipgan" / "new.py").write_text("b = 2\n")  # unknown to git, but it runs
    record = provenance.describe("cpu")
    assert (record["commit"], record["dirty"]) == (commit, True)
    assert provenance.tags(record)["clipgan.commit"] == f"{commit} with uncommitted changes"
    assert provenance.tags(record)["mlflow.source.git.commit"] == commit


def test_a_wheel_in_the_checkout_of_another_project_has_no_commit(checkout, monkeypatch):
    monkeypatch.setattr(provenance, "PACKAGE", checkout / "venv" / "site-packages" / "clipgan")
    (checkout / "venv" / "site-packages").mkdir(parents=True)
    record = provenance.describe("cpu")
    assert (record["commit"], record["dirty"]) == (None, None)
    assert not [key for key in provenance.tags(record) if "commit" in key]


def test_no_git_is_no_fault(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance.describe("cpu")["commit"] is None


def test_the_command_has_no_password(monkeypatch):
    given = ["/bin/python3", "train.py", "h=1", "mlflow.tracking_uri=http://me:secret@host", "data.path=a b"]
    monkeypatch.setattr(sys, "orig_argv", given)
    shown = provenance.describe("cpu")["command"]
    assert shown == "python train.py h=1 'mlflow.tracking_uri=http://me:***@host' 'data.path=a b'"


@pytest.mark.slow
def test_a_run_has_it_in_its_folder_and_in_mlflow_and_a_resumed_run_adds_a_line(tmp_path, cache_dir, mlflow_store):
    uri = mlflow_store(tmp_path / "mlflow.db")
    for kimg in (1, 2):
        overrides = tiny(cache_dir, f"kimg={kimg}", "hydra.run.dir=run")
        command = [sys.executable, str(ROOT / "train.py"), *overrides]
        warm.run(command, cwd=tmp_path, check=True, capture_output=True)
    records = [json.loads(line) for line in (tmp_path / "run" / provenance.FILE).read_text().splitlines()]
    assert [" kimg=1 " in record["command"] for record in records] == [True, False]
    tags = MlflowClient(uri).get_run(run_id(tmp_path / "run")).data.tags
    assert {key: tags[key] for key in provenance.tags(records[-1])} == provenance.tags(records[-1])
    assert records[-1]["device"].endswith("(cpu)")
    assert records[-1]["versions"]["python"] == sys.version.split()[0]
    assert "torch" in records[-1]["versions"]
