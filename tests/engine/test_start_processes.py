"""A training over two processes, which torchrun or the training itself starts."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import numpy as np
import psutil
import pytest
import torch

from clipgan.base.distributed import GLOO_EXTRAS, own_device
from clipgan.base.errors import UserError
from clipgan.config.command_line import under_torchrun
from clipgan.engine.checkpoint_file import checkpoint_path, load_checkpoint, save_checkpoint
from clipgan.engine.start_processes import spread
from clipgan.inputs.batches.batches import Batches
from clipgan.inputs.batches.prefetch import Prefetched
from clipgan.tasks.gan.preparation import prepare
from tests import warm
from tests.helpers import ROOT, make_config, repeatable
from tests.tiny import tiny

CPU = torch.device("cpu")
SHORT = ("kimg=1", "mlflow.tracking_uri=null", "loss=asymmetric")
SLOW = ("model.g_lr=3e-6", "model.d_lr=3e-6")  # rounding cannot move the networks apart
TRAIN = [sys.executable, str(ROOT / "train.py")]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port", "PORT"]
IMPATIENT = """
from functools import partial

from clipgan.engine import start_run
from clipgan.main import main

start_run.watching_processes = partial(start_run.watching_processes, limit=20.0)
main()
"""
UNGUARDED = """
from clipgan.api import train

train(["processes=2", "device=cpu", "batch=64"])
"""


def run(tmp_path, *arguments, command=TRAIN):
    """A command's (exit status, stdout, stderr)."""
    result = (warm if command is TRAIN else subprocess).run(
        [*command, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    return result.returncode, result.stdout, result.stderr


def torchrun():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return [*TORCHRUN[:-1], str(free.getsockname()[1]), str(ROOT / "train.py")]


@pytest.mark.slow
def test_a_script_that_each_process_would_run_anew_is_told_so(tmp_path):
    (tmp_path / "script.py").write_text(UNGUARDED)
    status, out, err = run(tmp_path, command=[sys.executable, "script.py"])
    assert status == 1
    own, _, of_parent = err.partition('put the call of train below if __name__ == "__main__":\n')
    assert own.endswith("UserError: each process of a training imports this script: ")
    assert "ProcessError: process 1 of 2 has ended with status 1 before its work began" in of_parent
    assert of_parent.endswith('in a script, the call of train must stand below if __name__ == "__main__":\n')
    assert "has not ended in" not in out


@pytest.mark.slow
@pytest.mark.parametrize(
    "names", [("one", "torchrun"), pytest.param(("one", "torchrun", "own"), marks=pytest.mark.endurance)]
)
def test_two_processes_train_what_one_trains(cache_dir, tmp_path, monkeypatch, names):
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")  # as left over from another torchrun
    commands = {"one": (TRAIN, []), "own": (TRAIN, ["processes=2"]), "torchrun": (torchrun(), [])}
    for name in names:
        command, more = commands[name]
        overrides = tiny(cache_dir, *SHORT, *SLOW, *more, f"hydra.run.dir={name}")
        status, out, err = run(tmp_path, *overrides, command=command)
        assert status == 0, err
        assert out.count("files: ") == 1  # the first process alone speaks
    one, two, *others = (repeatable(tmp_path / name) for name in names)
    assert all(other == two for other in others)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert [record["step"] for record in two] == [0, 1]
    assert two[0] == one[0]
    # Adam's first steps are the gradients' signs, which rounding may turn: 11 of them move a weight by 7e-5 at most
    for name in ("terms/D/D/it", "terms/G/CLIP/it", "terms/G/ResNet/ii", "loss/path_length", "loss/r1", "logits/real"):
        assert two[1][name] == pytest.approx(one[1][name], rel=0.01, abs=0.01), name
    states = [torch.load(checkpoint_path(tmp_path / name, 1), weights_only=False)["state"] for name in names]
    assert [state["step"] for state in states] == [11] * len(names)


@pytest.mark.endurance
def test_a_sweep_of_trainings_with_two_processes_each(tmp_path):
    """From an empty cache, whose encoders train in processes of their own."""
    trained = [f"{name}.train.steps=50" for name in ("clip", "resnet", "metrics.judge")]
    overrides = tiny(tmp_path / "cache", *SHORT, *trained, "processes=2", "h=0.5")
    status, out, err = run(tmp_path, "-m", *overrides)
    assert status == 0, err
    assert "trial 0  (no axis)  COMPLETE" in out
    [folder] = (tmp_path / "runs").iterdir()
    assert [record["step"] for record in repeatable(folder / "0")] == [0, 1]


@pytest.mark.slow
def test_changed_data_end_all_processes(cache_dir, tmp_path):
    overrides = tiny(cache_dir, *SHORT, "processes=2", "hydra.run.dir=run")
    assert run(tmp_path, *overrides)[0] == 0
    path = checkpoint_path(tmp_path / "run", 1)
    checkpoint = load_checkpoint(path, CPU)
    save_checkpoint(path, checkpoint | {"sources": checkpoint["sources"] | {"data.content": "another"}})
    status, _, err = run(tmp_path, *overrides)
    assert status == 1
    assert "run/checkpoint-000001.pt: images or captions of data=shapes have changed since its run began" in err
    assert err.count("\n") == 1


@contextmanager
def started(tmp_path, *arguments, command=TRAIN):
    process = warm.Popen([*command, *arguments], cwd=tmp_path, stderr=warm.PIPE, text=True)
    try:
        yield psutil.Process(process.pid), process
    finally:
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
        process.kill()
        process.wait()


def wait_until(condition):
    end = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["the other", pytest.param("the first", marks=pytest.mark.endurance)])
def test_no_process_outlives_the_others(cache_dir, tmp_path, victim):
    """One is killed: the training ends, and says so."""
    with started(tmp_path, *tiny(cache_dir, *SHORT, "processes=2", "kimg=1000", "hydra.run.dir=run")) as (first, popen):
        wait_until(lambda: checkpoint_path(tmp_path / "run", 1).exists())
        others = [child for child in first.children() if "spawn_main" in " ".join(child.cmdline())]
        assert len(others) == 1
        os.kill(others[0].pid if victim == "the other" else first.pid, signal.SIGKILL)
        _, err = popen.communicate(timeout=100)
        assert popen.returncode != 0
        assert victim == "the first" or "process 1 of 2 has ended with status -9" in err
        assert "Traceback" not in err.partition("process 1 of 2")[2]
        psutil.wait_procs(others, timeout=60)
        assert not others[0].is_running() or others[0].status() == psutil.STATUS_ZOMBIE


def test_of_gloo_s_message_the_reason_is_told():
    reason = "Connection closed by peer [127.0.0.1]:63651"
    advice = "This is typically caused by a remote worker crashing. Check the logs of the remote worker"
    assert GLOO_EXTRAS.sub("", f"[/a/gloo/transport/tcp/pair.cc:561] {reason}. {advice}") == reason
    assert GLOO_EXTRAS.sub("", "Timed out. This process waited") == "Timed out. This process waited"


@pytest.mark.endurance
def test_a_stopped_process_ends_the_training(cache_dir, tmp_path):
    """The first process kills it; a third one ends without a word."""
    overrides = tiny(cache_dir, *SHORT, "processes=3", "kimg=1000", "hydra.run.dir=run")
    with started(tmp_path, *overrides, command=[sys.executable, "-c", IMPATIENT]) as (first, popen):
        wait_until(lambda: checkpoint_path(tmp_path / "run", 1).exists())
        others = [child for child in first.children() if "spawn_main" in " ".join(child.cmdline())]
        last = max(others, key=lambda child: (child.create_time(), child.pid))  # a clock tick may see both start
        os.kill(last.pid, signal.SIGSTOP)
        _, err = popen.communicate(timeout=100)
        assert popen.returncode == 1
        assert err.splitlines() == [
            "process 2 of 3 has not answered for 20 s: it was stopped, or its host is gone; the training ends",
            "process 2 of 3 has ended with status -9; its own message is above, if it had any",
        ]
        assert psutil.wait_procs(others, timeout=60)[1] == []


@pytest.mark.slow
def test_a_signal_ends_all_after_the_same_step(cache_dir, tmp_path):
    overrides = tiny(cache_dir, *SHORT, "processes=2", "kimg=1000", "snapshot_kimg=1000", "hydra.run.dir=run")
    with started(tmp_path, *overrides) as (first, popen):
        wait_until(lambda: (tmp_path / "run" / "metrics.jsonl").exists() and len(repeatable(tmp_path / "run")) > 2)
        first.terminate()
        _, err = popen.communicate(timeout=100)
    assert "SIGTERM" in err
    assert "Traceback" not in err
    kept = torch.load(tmp_path / "run" / "latest.pt", weights_only=False)
    assert kept["state"]["step"] >= 11


def test_a_process_has_its_rows_of_the_batch(cache_dir, monkeypatch):
    config = make_config(*tiny(cache_dir, *SHORT, "batch=32", "contrast.negatives=7"))
    ready = prepare(config, CPU)
    arguments = (config, ready.data.train, ready.features.train, CPU, ready.data.x_flip)
    whole = Batches(*arguments).at(3)
    monkeypatch.setattr("clipgan.inputs.batches.batches.world_size", lambda: 4)
    monkeypatch.setattr("clipgan.inputs.batches.batches.rank", lambda: 2)
    mine = Batches(*arguments).at(3)
    assert mine.rows == range(16, 24)
    for name in ("images", "text", "clip_image", "resnet_image", "condition"):
        assert torch.equal(getattr(mine, name), getattr(whole, name)[16:24])
    assert torch.equal(mine.further.text, whole.further.text)


def test_prefetching_changes_no_batch(cache_dir):
    config = make_config(*tiny(cache_dir, *SHORT))
    ready = prepare(config, CPU)
    arguments = (config, ready.data.train, ready.features.train, CPU, ready.data.x_flip)
    plain, ahead = Batches(*arguments), Prefetched(Batches(*arguments))
    for step in (0, 1, 2, 7, 3):
        assert np.array_equal(ahead.at(step).images, plain.at(step).images)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["processes=0"], "processes=0 is not allowed"),
        (["processes=5"], "processes=5 is not allowed: processes must be such that batch=96 splits into equal"),
        (["processes=4", "accumulate=4"], "accumulate=4 is not allowed.* in each of 4 processes"),
    ],
)
def test_a_batch_that_does_not_split_is_refused(cache_dir, overrides, message):
    with pytest.raises(UserError, match=message):
        make_config(*tiny(cache_dir, *overrides))


def test_under_torchrun(cache_dir, monkeypatch):
    config = make_config(*tiny(cache_dir))
    assert spread(config) is config
    assert under_torchrun(["train.py", "-m"]) == []
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert spread(config) is config  # of some scheduler's: torchrun sets five variables
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID"):
        monkeypatch.setenv(name, "0")
    assert spread(config).processes == 4
    assert under_torchrun(["train.py"]) == []
    with pytest.raises(UserError, match="processes=2 is not allowed: torchrun has started 4"):
        spread(make_config(*tiny(cache_dir, "processes=2")))
    with pytest.raises(UserError, match=r"python train\.py -m processes=N"):
        under_torchrun(["train.py", "--multirun", "h=1,2"])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert own_device(torch.device("cuda")) == torch.device("cuda", 2)
    assert own_device(CPU) == CPU
    with pytest.raises(UserError, match="device=cuda:1 is not allowed for 4 processes"):
        own_device(torch.device("cuda:1"))
    monkeypatch.setenv("LOCAL_RANK", "3")
    with pytest.raises(UserError, match="4 processes need a GPU each, and 3 are here"):
        own_device(torch.device("cuda"))
