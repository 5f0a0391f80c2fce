"""Where things are in a checkout, and where a wheel has put them (`make release-check` installs a real one)."""

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, PathDistribution

import pytest

from clipgan.base import installed
from tests.helpers import ROOT


def test_the_configuration_of_a_checkout_is_beside_the_package():
    assert installed.conf() == ROOT / "conf"


def test_the_configuration_of_a_wheel_is_inside(monkeypatch, tmp_path):
    monkeypatch.setattr(installed, "_script", lambda: tmp_path / "none")
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    package = tmp_path / "clipgan"
    (tmp_path / wheel["force-include"]["conf"]).mkdir(parents=True)
    monkeypatch.setattr(installed, "PACKAGE", package)
    assert installed.conf() == package / "conf"
    assert installed.train_command() == ["clipgan-train"]


@pytest.mark.parametrize(
    ("started", "told"),
    [
        ("/checkout/train.py", ["python3", "train.py"]),
        ("/venv/bin/clipgan-train", ["clipgan-train"]),
        ("/venv/bin/pytest", ["python3", "train.py"]),
    ],
)
def test_a_user_is_told_the_way_that_he_takes(monkeypatch, tmp_path, started, told):
    monkeypatch.setattr(installed, "_script", lambda: tmp_path / "none")
    monkeypatch.setattr(sys, "argv", [started, "h=1"])
    monkeypatch.setattr(sys, "orig_argv", ["python3", *sys.argv])
    monkeypatch.chdir(ROOT)
    assert installed.train_command() == told
    monkeypatch.chdir(tmp_path)
    assert installed.train_command() == [word.replace("train.py", str(ROOT / "train.py")) for word in told]


def test_a_script_beside_the_path_is_named_in_full(monkeypatch, tmp_path):
    script = tmp_path / "clipgan-train"
    script.touch()
    monkeypatch.setattr(sys, "argv", [str(script), "h=1"])
    monkeypatch.setenv("PATH", "")
    assert installed.train_command() == [str(script)]
    assert installed.with_this_python("clipgan-train -m h=1") == f"{script} -m h=1"  # as a study has noted it
    (tmp_path / "other").mkdir()
    for folder, told in (("other", str(script)), (".", "clipgan-train")):  # that of another installation, and its own
        path = tmp_path / folder / "clipgan-train"
        path.touch()
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(path.parent))
        assert installed.train_command() == [told]


def test_a_script_is_found_where_pip_has_put_it(monkeypatch, tmp_path):
    """Also one that `pip install --user` has put beside no Python, for a notebook."""
    script, record = tmp_path / "bin" / "clipgan-train", tmp_path / "lib" / "clipgan-0.1.0.dist-info" / "RECORD"
    for path in (script, record):
        path.parent.mkdir(parents=True)
        path.write_text("../bin/clipgan-train,,\n")
    (record.parent / "METADATA").write_text("Name: clipgan\nVersion: 0.1.0\n")
    monkeypatch.setattr(installed, "PACKAGE", tmp_path / "lib" / "clipgan")
    monkeypatch.setattr(installed, "distribution", lambda _: PathDistribution(record.parent))
    monkeypatch.setenv("PATH", "")
    assert installed.train_program() == [sys.executable, str(script)]
    assert installed.train_command() == [str(script)]


def test_a_module_of_a_checkout_that_is_not_installed_needs_its_path(monkeypatch, tmp_path):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(sys, "orig_argv", ["python3"])
    assert installed.module_command("clipgan.sample")[-3:] == ["python3", "-m", "clipgan.sample"]
    monkeypatch.setattr(installed, "version", missing)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(tmp_path)
    assert installed.module_command("clipgan.sample")[:2] == ["env", f"PYTHONPATH={ROOT}"]
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert installed.module_command("clipgan.sample")[0] == "python3"


def test_a_printed_command_runs_with_the_same_python(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "orig_argv", ["my env/bin/python", "train.py"])
    assert installed.with_this_python("python train.py -m h=1") == "'my env/bin/python' train.py -m h=1"
    monkeypatch.setattr(installed, "_script", lambda: tmp_path / "none")
    assert installed.with_this_python("clipgan-train -m h=1") == "clipgan-train -m h=1"
