"""A password in a URI is used and written nowhere: not into a run's files, nor what is printed."""

import os
import shlex
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from clipgan.base.errors import UserError
from clipgan.base.secrets import hidden, remember, without_passwords
from clipgan.config import flatten
from clipgan.config.hiding import hide_in_files, hide_passwords
from sweeps.command.command_line import command_of, note
from tests import warm
from tests.helpers import ROOT, make_config
from tests.tiny import tiny


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:secret@host/db", "postgresql://u:***@host/db"),
        ("see http://u:se@cret@host:5000/x, then", "see http://u:***@host:5000/x, then"),
        ("postgresql+psycopg://host/db?user=u&password=secret&x=1", "postgresql+psycopg://host/db?user=u&password=***&x=1"),
        ("postgresql://u@host/db", "postgresql://u@host/db"),
        ("postgresql://u:pa/ss@host/db", "postgresql://u:***@host/db"),
        ("see 'postgresql://u:p@/s:s@host/db', h", "see 'postgresql://u:***@host/db', h"),
        ("postgresql://u@server:secret@host/db", "postgresql://u@server:***@host/db"),
        ("https://secret@host:5000/x", "https://***@host:5000/x"),
        ("postgresql://host/db?user=u&pwd=secret", "postgresql://host/db?user=u&pwd=***"),
        ("postgresql://u:***@host/db https://***@host", "postgresql://u:***@host/db https://***@host"),
        ("http://host/a?b=c@d", "http://host/a?b=c@d"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("http://u:se cr'e\"t@host:5000", "http://u:***@host:5000"),
        ("'http://u:se cret@host:5000'", "'http://u:***@host:5000'"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Dsecret", "mssql+pyodbc:///?odbc_connect=***"),
    ],
)  # fmt: skip
def test_what_is_shown_of_a_uri(text, shown):
    assert without_passwords(text) == shown


@pytest.mark.parametrize("sweep", [[], ["-m"]])
@pytest.mark.parametrize(
    "argument",
    [
        "hydra.sweeper.storage=postgresql://u:secret@host/db",
        "++hydra.sweeper.storage='postgresql://u:sec/secret@host/db'",
        "hydra.sweeper.storage=postgresql://host/db?user=u&password=secret",
        "hydra.sweeper.mlflow_tracking_uri=http://u:secret@host:5000",
        "hydra.sweeper.mlflow_tracking_uri=https://secret@host:5000",
        "hydra.sweeper.storage='postgresql://u:sec ret@host/db'",
        "mlflow={tracking_uri: 'http://u:secret@host:5000', experiment: x}",
        "http://u:secret@host:5000/?x=1",
        "+hydra.job.env_set.MLFLOW_TRACKING_PASSWORD=secret",
        "+hydra.job.env_set={HOME: /a, MLFLOW_TRACKING_TOKEN: secret}",
        "+hydra.job.env_set.AWS_SECRET_ACCESS_KEY=secret",
        "+hydra.job.env_set={DB_PASSWORDS: secret}",
    ],
)
def test_a_password_that_cannot_be_hidden_is_refused(sweep, argument):
    arguments = ["train.py", *sweep, argument, "h=1"]
    with pytest.raises(UserError, match=r"password.*MLFLOW_TRACKING_URI.*~/\.pgpass") as raised:
        hide_passwords(arguments)
    assert "secret" not in str(raised.value)
    key = argument.partition("=")[0]
    assert "://" in key or str(raised.value).startswith(f"{key}=")


@pytest.mark.parametrize(
    "uri", ["http://u:secret@h:5000", "https://u:se/c@ret@h", "https://secret@h", "http://u:a b'c@h"]
)
def test_a_tracking_uri_with_a_password_goes_to_the_environment(monkeypatch, uri):
    monkeypatch.setattr("os.environ", dict(os.environ))
    arguments = ["train.py", "-m", f"mlflow.tracking_uri='{uri}'", "hydra.sweeper.storage=postgresql://u@h/db"]
    hide_passwords(arguments)
    assert arguments == ["train.py", "-m", "hydra.sweeper.storage=postgresql://u@h/db"]
    assert os.environ["MLFLOW_TRACKING_URI"] == uri


def test_parameters_have_no_password():
    config = make_config("mlflow.tracking_uri='http://u:secret@host:5000'")
    assert config.mlflow.tracking_uri == "http://u:secret@host:5000"
    assert flatten(config)["mlflow.tracking_uri"] == "http://u:***@host:5000"


def test_a_text_whose_key_names_a_secret_is_hidden():
    secrets = {"WANDB_API_KEY": "x", "aws_secret_access_key": "x", "credentials": "x", "private_key": "x"}
    plain = {"seed_key": "seed", "max_tokens": 77, "image_key": "jpg", "passes": 3}
    assert hidden(secrets | plain) == dict.fromkeys(secrets, "***") | plain


def test_a_password_with_a_space_and_a_quote_is_hidden_inside_other_texts():
    uri = "http://user:pl ugh'42@127.0.0.1:9"
    remember(uri)
    for text in (f"no answer from {uri}: retry", f"Invalid value {uri!r}.", f"run {shlex.quote('x=' + uri)} again"):
        assert "ugh" not in without_passwords(text), text
    assert without_passwords("clip@metrics.judge http://host:5000/x, then a@b") == (
        "clip@metrics.judge http://host:5000/x, then a@b"
    )


def test_the_command_in_a_report_has_no_password(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "-m"])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)  # also in `python -m pytest`
    known = note(["mlflow.tracking_uri=http://u:secret@host:5000", "kimg=1"], Path("runs"))
    assert command_of(known, ["h=1"]) == "python train.py 'mlflow.tracking_uri=http://u:***@host:5000' kimg=1 h=1"


YAML_URI = "http://user:pl ugh'42@127.0.0.1:9"


def test_the_files_that_hydra_writes_have_no_password_of_a_yaml_file(tmp_path):
    hydra = OmegaConf.create({"sweeper": {"storage": "postgresql://u:pl ugh'42@h/d"}, "job": {"id": "???"}})
    hydra.job.env_set = {"MLFLOW_TRACKING_PASSWORD": "ugh", "OTHER_TOKEN": "${oc.env:TOKEN}"}
    config = OmegaConf.create({"mlflow": {"tracking_uri": YAML_URI}, "h": 0.5, "again": ["${h}", "${oc.env:HOME}"]})
    for name, content in {"config": config, "hydra": OmegaConf.create({"hydra": hydra})}.items():
        OmegaConf.save(content, tmp_path / f"{name}.yaml")
    (tmp_path / "overrides.yaml").write_text("- h=0.5\n")
    hide_in_files([config, hydra], tmp_path)
    assert "ugh" not in "".join(path.read_text() for path in tmp_path.iterdir())
    kept = OmegaConf.to_container(OmegaConf.load(tmp_path / "config.yaml"), resolve=False)
    assert kept == {
        "mlflow": {"tracking_uri": "http://user:***@127.0.0.1:9"},
        "h": 0.5,
        "again": ["${h}", "${oc.env:HOME}"],
    }
    assert config.mlflow.tracking_uri == YAML_URI  # which the run uses


@pytest.mark.endurance
@pytest.mark.parametrize("sweep", [[], ["-m", "h=0.5"]])
def test_a_password_in_a_yaml_file_is_in_no_file_of_the_run(cache_dir, tmp_path, sweep):
    (tmp_path / "mine" / "mlflow").mkdir(parents=True)
    (tmp_path / "mine" / "mlflow" / "here.yaml").write_text(f"tracking_uri: {YAML_URI}\n")
    overrides = [*tiny(cache_dir, "kimg=1"), "+mlflow=here"]
    result = warm.run(
        [sys.executable, str(ROOT / "train.py"), "--config-dir", "mine", *sweep, *overrides],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "ugh" not in result.stdout + result.stderr
    written = [path for path in tmp_path.rglob("*") if path.is_file() and "mine" not in path.parts]
    assert any(path.name == "hydra.yaml" for path in written)
    assert [str(path) for path in written if b"ugh" in path.read_bytes()] == []


@pytest.mark.slow
def test_no_file_and_no_line_of_a_run_has_the_password(cache_dir, tmp_path):
    """A sweep of one trial; nobody listens at that port, so every complaint about the URI is made too."""
    uri = "http://user:xyzzy42@127.0.0.1:9"
    axis = ["-m", "h=0.5"]
    result = warm.run(
        [sys.executable, str(ROOT / "train.py"), *axis, *tiny(cache_dir, "kimg=1"), f"mlflow.tracking_uri={uri}"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "MLflow cannot be reached" in result.stdout
    assert "xyzzy42" not in result.stdout + result.stderr
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "config.yaml" for path in written)
    assert [str(path) for path in written if b"xyzzy42" in path.read_bytes()] == []
