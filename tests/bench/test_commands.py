"""Each benchmark runs to its end in its smallest form, which says nothing about speed."""

import json
import os
import subprocess
import sys

import pytest

from tests.helpers import ROOT


@pytest.mark.endurance
@pytest.mark.parametrize("command", [
    "train_step rounds=1", "losses", "cost rounds=1", "simclr rounds=1",
    "sweep claims replicas rounds=1 each=10 sweeps=20",
    "prepare photos=8 width=160 height=120 rounds=1 clip=tiny resolution=32", "pruning landscapes=1 median",
    "fid kimg=1 pool=2000 repeats=2 draws=5", "quality kimg=1",
])  # fmt: skip
def test_a_benchmark_measures_and_writes_its_record(tmp_path, command):
    (tmp_path / "docs").mkdir()  # some draw a figure there
    name, *words = command.split()
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", *words],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    records = [*tmp_path.glob("runs/bench/*.json"), *tmp_path.glob("runs/quality/quality.json")]
    assert all(json.loads(record.read_text()) for record in records)
    assert records
