"""A password in a URI is used and written nowhere: not into a run's files, nor what is printed."""

import subprocess
import sys

import pytest

import sweeps.secrets
from clipgan.config import flatten
from clipgan.secrets import without_passwords
from sweeps.reproduce import command_of, note
from tests.helpers import ROOT, make_config
from tests.tiny import tiny


@pytest.mark.parametrize("hide", [without_passwords, sweeps.secrets.without_passwords])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:secret@host/db", "postgresql://u:***@host/db"),
        ("see http://u:se@cret@host:5000/x, then", "see http://u:***@host:5000/x, then"),
        ("postgresql+psycopg://host/db?user=u&password=secret&x=1", "postgresql+psycopg://host/db?user=u&password=***&x=1"),
        ("postgresql://u@host/db", "postgresql://u@host/db"),
        ("http://host:5000/a?b=c@d", "http://host:5000/a?b=c@d"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
    ],
)  # fmt: skip
def test_what_is_shown_of_a_uri(hide, text, shown):
    assert hide(text) == shown


def test_parameters_have_no_password():
    config = make_config("mlflow.tracking_uri='http://u:secret@host:5000'")
    assert config.mlflow.tracking_uri == "http://u:secret@host:5000"
    assert flatten(config)["mlflow.tracking_uri"] == "http://u:***@host:5000"


def test_the_command_in_a_report_has_no_password(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "-m"])
    known = note(["mlflow.tracking_uri=http://u:secret@host:5000", "kimg=1"])
    assert command_of(known, ["h=1"]) == "python train.py 'mlflow.tracking_uri=http://u:***@host:5000' kimg=1 h=1"


@pytest.mark.slow
def test_no_file_and_no_line_of_a_run_has_the_password(cache_dir, tmp_path):
    """A sweep of one trial; nobody listens at that port, so every complaint about the URI is made too."""
    uri = "http://user:xyzzy42@127.0.0.1:9"
    axis = ["-m", "h=0.5"]
    result = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *axis, *tiny(cache_dir, "kimg=1"), f"mlflow.tracking_uri={uri}"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "MLflow cannot be reached" in result.stdout
    assert "xyzzy42" not in result.stdout + result.stderr
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "config.yaml" for path in written)
    assert [str(path) for path in written if b"xyzzy42" in path.read_bytes()] == []
