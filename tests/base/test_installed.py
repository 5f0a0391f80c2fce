"""Where things are in a checkout, and where a wheel has put them (`make release-check` installs a real one)."""

import sys
import tomllib

import pytest

from clipgan.base import installed
from tests.helpers import ROOT


def test_the_configuration_of_a_checkout_is_beside_the_package():
    assert installed.conf() == ROOT / "conf"


def test_the_configuration_of_a_wheel_is_inside(monkeypatch, tmp_path):
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    package = tmp_path / "clipgan"
    (tmp_path / wheel["force-include"]["conf"]).mkdir(parents=True)
    monkeypatch.setattr(installed, "PACKAGE", package)
    assert installed.conf() == package / "conf"
    assert installed.train_command() == ["clipgan-train"]


@pytest.mark.parametrize(
    ("started", "told"),
    [
        ("/checkout/train.py", ["python", "train.py"]),
        ("/venv/bin/clipgan-train", ["clipgan-train"]),
        ("/venv/bin/pytest", ["python", "train.py"]),
    ],
)
def test_a_user_is_told_the_way_that_he_takes(monkeypatch, started, told):
    monkeypatch.setattr(sys, "argv", [started, "h=1"])
    assert installed.train_command() == told
