"""The types that a user's mypy sees of an installed clipgan."""

import shutil
import subprocess
import sys
import venv

import pytest

from clipgan import api
from tests.helpers import ROOT

CODE = """
from clipgan.api import Origin, Result, Sampler, Sweep, TrialRecord, load_generator, sweep, train

result: Result = train(["h=1"], report=lambda objective, units: False, origin=Origin(parent_run_id="1"))
reveal_type(result.stopped)
sampler: Sampler = load_generator(checkpoint="a.pt")
study: Sweep = sweep(["h=1,2"])
reveal_type(study.best_checkpoint)
first: TrialRecord = study.trials[0]
train(5)
"""


def test_a_users_mypy_sees_the_types_of_an_installed_clipgan(tmp_path):
    """The environment has the two packages as a wheel does, and no other: mypy need not read torch."""
    venv.create(tmp_path / "venv", symlinks=True)
    [packages] = tmp_path.glob("venv/lib/python3*/site-packages")
    for name in ("clipgan", "sweeps"):
        shutil.copytree(ROOT / name, packages / name)
    (tmp_path / "mine.py").write_text(CODE)
    command = [sys.executable, "-m", "mypy", "--python-executable", "venv/bin/python", "mine.py"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout.splitlines()
    assert [line.partition(": ")[2] for line in said[:-1]] == [
        'note: Revealed type is "bool"',
        'note: Revealed type is "pathlib.Path | None"',
        'error: Argument 1 to "train" has incompatible type "int"; expected "Config | Sequence[str]"  [arg-type]',
    ]


def test_every_name_of_the_module_is_there_and_no_other():
    assert {name for name in api.__all__ if getattr(api, name) is not None} == {*api.__all__}
    assert {*api._MODULES} < {*api.__all__}
    with pytest.raises(AttributeError, match="has no attribute 'Sweeep'"):
        _ = api.Sweeep
