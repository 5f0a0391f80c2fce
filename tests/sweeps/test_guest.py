"""A foreign Hydra app does the same, whether this project's wheel is installed beside it or not."""

import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.helpers import ROOT
from tests.sweeps.foreign.look import difference, look, plugins


def with_dependencies(name: str) -> set[str]:
    """A distribution and all that it needs."""
    found = {name}
    for needed in map(Requirement, distribution(name).requires or ()):
        if needed.marker is None or needed.marker.evaluate({"extra": ""}):
            found |= with_dependencies(needed.name)
    return found


def environment(folder: Path) -> Path:
    """Make an environment with Hydra alone, as links to this one's packages, and return its site-packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    [packages] = folder.glob("lib/python*/site-packages")
    for name in with_dependencies("hydra-core"):
        for file in distribution(name).files or ():
            top = file.parts[0]
            if top != ".." and not (packages / top).exists():
                (packages / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    return packages


@pytest.mark.endurance
def test_a_foreign_app_does_not_notice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    environment(tmp_path / "without")
    beside = environment(tmp_path / "with")
    for package in ("clipgan", "sweeps", "hydra_plugins"):  # what the wheel holds
        (beside / package).symlink_to(ROOT / package)
    without_it, with_it = (str(tmp_path / name / "bin" / "python") for name in ("without", "with"))
    assert "StudySweeper" not in plugins(without_it)
    assert "StudySweeper" in plugins(with_it)
    assert difference(without_it, with_it) == []
    seen = look(with_it)
    assert "== -m x=1,2 db=small,large: status 0" in seen
    assert "groups: ['_dummy_empty_config_.yaml', 'hydra']" in seen
    assert "== out/db=large,x=2/.hydra/config.yaml" in seen
