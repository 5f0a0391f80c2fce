"""Each command that a run prints is run as it is printed, from the folder of the user, with data of the user's."""

import os
import re
import shlex
import signal
import sys
import time

import pytest

from clipgan.base.installed import train_command
from clipgan.config.user_command import UserCommand
from clipgan.engine.checkpoint_file import snapshots
from tests import warm
from tests.helpers import ROOT
from tests.inputs.data.samples import noise_folder
from tests.tiny import TINY

NAME = "dätä #1 (a & b), 'x' = [y]; {z}"  # of the user's folders
RUN = f"run {NAME}"
SMALL = [line for line in TINY if not line.startswith(("data.", "batch=", "kimg=", "metrics.n_images"))]


def start(folder, *command):
    return warm.Popen([sys.executable, *command], cwd=folder, stdout=warm.PIPE, stderr=warm.PIPE)


def printed(text, what):
    """The command that stands below `to WHAT:`, as a shell reads it."""
    [line] = re.findall(rf"^to {what}:\n    (.+)$", text, re.MULTILINE)
    executable, *arguments = shlex.split(line)
    assert executable == sys.executable
    return arguments


def finished(folder, arguments):
    process = start(folder, *arguments)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    return out


@pytest.mark.slow
def test_printed_commands_run_as_they_are_printed(cache_dir, tmp_path):
    here = tmp_path / "work"
    here.mkdir()
    noise_folder(tmp_path / NAME, 48)
    user = ["data=folder", f"data.path=../{NAME}/", *SMALL, "batch=40", "metrics.n_images=4", "C_ii=${h}"]
    user += [f"cache_dir={cache_dir}", "mlflow.tracking_uri=null"]

    run_dir = here / RUN
    process = start(here, str(ROOT / "train.py"), *user, "kimg=1", f"hydra.run.dir={RUN}", "hydra.job.chdir=true")
    while not snapshots(run_dir):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 75, out + err
    resume = shlex.split(err.partition("it goes on with: ")[2])[1:]

    out = finished(here, resume)  # it has data.path as the user gave it
    assert f"files: {RUN}\n" in out
    finished(here, printed(out, "draw what prompts say"))
    assert list(here.glob("samples/**/*.png"))
    for path in (tmp_path / NAME).iterdir():
        os.utime(path, (1, 1))  # as in a copy
    assert "resumed at 1 kimg" in finished(here, printed(out, "train on, for as long again"))
    assert [path.name for path in snapshots(run_dir)][-1] == "checkpoint-000002.pt"
    sweep = printed(out, "compare other h in a sweep")
    assert sweep[-2] == "h=0.1,0.5,2"
    assert "C_ii=${h}" in sweep  # follows h
    assert "3 trials, 3 left to run" in finished(here, [*sweep, "hydra.sweeper.dry_run=true"])

    limited = [*user, "budget=seconds", "seconds=0.001", "kimg=9", "hydra.run.dir=limited"]
    out = finished(here, [str(ROOT / "train.py"), *limited])
    assert re.search(r"done: symmetric h=0\.5 .*, 1 kimg ", out)
    again = finished(here, printed(out, "train on, for as long again"))  # whatever the first kimg took
    assert "resumed at 1 kimg" in again
    assert not re.search(r"done: symmetric h=0\.5 .*, 1 kimg ", again)


def test_a_sweep_keeps_what_the_user_chose():
    command = UserCommand(("experiment=quick", "h=1", "resume=none", "data.seed=3"), ("hydra.verbose=true",))
    expected = [*train_command(), "-m", "experiment=quick", "data.seed=3", "h=0.1,2", "hydra.verbose=true"]
    assert command.sweep("h=0.1,2") == shlex.join(expected)
    kept = [*train_command(), "resnet=simclr", "data.seed=3", "hydra.verbose=true"]
    assert command.other(["data"], "resnet=simclr") == shlex.join(kept)
