"""A training that is killed or stopped at any moment continues without a change of its results."""

import os
import random
import signal
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
import torch

from clipgan.base.errors import Interrupted, UserError
from clipgan.engine.checkpoint_file import load_checkpoint
from clipgan.engine.determinism import (
    CUBLAS,
    deterministic_algorithms,
    is_deterministic,
    settle_cublas,
)
from clipgan.engine.interruption import Interruption
from clipgan.tasks.train import train
from tests import warm
from tests.helpers import ROOT, assert_same, make_config, repeatable
from tests.relay import Relay
from tests.tiny import tiny

CPU = torch.device("cpu")
SHORT_STEPS = "batch=32"  # a kimg in 31 or 32 steps
OFTEN = (
    SHORT_STEPS,
    "keep_last=null",
    "checkpoint_minutes=0.005",
    "mlflow.tracking_uri=null",
)  # also while a checkpoint is written


def run_training(overrides: list[str], run_dir: Path) -> None:
    """The body of a child process."""
    torch.set_num_threads(1)
    train(make_config(*overrides), run_dir)


def start(overrides: list[str], run_dir: Path) -> warm.Popen:
    """A training in a process of its own."""
    return warm.call(run_training, overrides, run_dir)


def finish(overrides: list[str], run_dir: Path) -> None:
    """Train to the end."""
    assert start(overrides, run_dir).wait(120) == 0


def killed_at_random(overrides: list[str], run_dir: Path, kills: int, whole: Path, seed: int) -> None:
    """Kill a training again and again at moments within the time that the whole one took, and let it end."""
    ended, began = (max(path.stat().st_mtime for path in whole.glob(names)) for names in ("check*", "config.yaml"))
    generator = random.Random(seed)
    for _ in range(kills):
        process = start(overrides, run_dir)
        while process.poll() is None and not (run_dir / "config.yaml").exists():
            time.sleep(0.01)
        with suppress(warm.TimeoutExpired):
            process.wait(generator.uniform(0, ended - began))
        process.kill()
        process.wait()
    finish(overrides, run_dir)


@pytest.fixture(scope="module")
def whole(cache_dir, tmp_path_factory) -> Path:
    """A run that nobody has disturbed."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    finish(tiny(cache_dir, *OFTEN), run_dir)
    return run_dir


def content(path: Path):
    """What a checkpoint holds, without the times (`records` has those of each record)."""
    timely = ("train_seconds", "config", "records")
    return {key: value for key, value in load_checkpoint(path, CPU).items() if key not in timely}


def assert_same_run(first: Path, second: Path) -> None:
    """Every snapshot's checkpoint, bit for bit, and every figure."""
    names = sorted(path.name for path in first.glob("checkpoint-*.pt"))
    assert len(names) > 2
    assert names == sorted(path.name for path in second.glob("checkpoint-*.pt"))
    for name in names:
        assert_same(content(first / name), content(second / name))
    assert repeatable(first) == repeatable(second)
    pictures = sorted(path.name for path in first.glob("samples-*.png"))
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in pictures)


@pytest.mark.endurance
def test_the_same_configuration_gives_the_same_bits(cache_dir, tmp_path, whole):
    """Without the checkpoints in between, too."""
    finish(tiny(cache_dir, SHORT_STEPS, "keep_last=null", "mlflow.tracking_uri=null"), tmp_path)
    assert_same_run(whole, tmp_path)


def test_algorithms_are_deterministic_on_a_cpu_by_default():
    assert is_deterministic(None, CPU)
    assert not is_deterministic(False, CPU)
    assert not is_deterministic(None, torch.device("cuda"))
    with deterministic_algorithms(True):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()


def test_cudnn_does_not_search_and_the_callers_choice_comes_back(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    with deterministic_algorithms(False):
        assert not torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.benchmark


def test_cublas_is_settled_before_it_is_used(monkeypatch):
    monkeypatch.delenv(CUBLAS, raising=False)
    monkeypatch.setattr("clipgan.engine.determinism._settled", [])
    if torch.cuda.is_available():
        torch.zeros(1, device="cuda")
        with pytest.raises(UserError, match=f"since this process has used CUDA before: set {CUBLAS}=:4096:8"):
            settle_cublas()
        monkeypatch.setenv(CUBLAS, ":16:8")
    settle_cublas()
    assert os.environ.pop(CUBLAS) in (":4096:8", ":16:8")
    settle_cublas()  # a second training, of a caller whose environment is as before the first
    assert os.environ.pop(CUBLAS) == ":4096:8"


@pytest.mark.slow
def test_random_kills_do_not_change_the_result(cache_dir, tmp_path, whole):
    killed_at_random(tiny(cache_dir, *OFTEN), tmp_path, 3, whole, seed=0)
    assert_same_run(whole, tmp_path)


@pytest.mark.endurance
@pytest.mark.parametrize("loss", ["symmetric", "asymmetric"])
def test_twenty_random_kills_change_no_bit(cache_dir, tmp_path, loss):
    """Ten kills a structure, two in each of five runs, against one that was left alone."""
    overrides = tiny(cache_dir, *OFTEN, f"loss={loss}", "kimg=3")
    finish(overrides, tmp_path / "whole")
    for seed in range(5):
        killed_at_random(overrides, tmp_path / f"{seed}", 2, tmp_path / "whole", seed)
        assert_same_run(tmp_path / "whole", tmp_path / f"{seed}")


def await_file(path: Path, process: warm.Popen) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def command(cwd: Path, *arguments: str) -> warm.Popen:
    """`train.py`, as a shell starts it."""
    return warm.Popen(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        cwd=cwd, stdout=warm.PIPE, stderr=warm.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_a_signal_leaves_a_checkpoint_and_the_requeue_status(cache_dir, tmp_path, whole):
    overrides = tiny(cache_dir, SHORT_STEPS, "mlflow.tracking_uri=null", "keep_last=null")
    run_dir = tmp_path / "run"
    for number, kimg in ((signal.SIGTERM, 0), (signal.SIGINT, 1)):
        process = command(tmp_path, *overrides, "hydra.run.dir=run")
        await_file(run_dir / f"checkpoint-{kimg:06d}.pt", process)
        time.sleep(0.3)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 75, out + err
        assert f"ended by {number.name}; it goes on with: " in err
        assert "resume=auto" in err
        assert "hydra.run.dir=" in err
        assert "Traceback" not in err
        saved = load_checkpoint(run_dir / "latest.pt", CPU)
        assert saved["state"]["step"] % 32 == saved["tick"]["steps"] > 0
    finish(overrides, run_dir)
    assert not (run_dir / "latest.pt").exists()
    assert_same_run(whole, run_dir)


@pytest.mark.slow
def test_a_signal_ends_a_run_also_while_mlflow_does_not_answer(cache_dir, tmp_path):
    relay = Relay()
    uri = f"mlflow.tracking_uri={relay.uri}"
    process = command(tmp_path, *tiny(cache_dir, "kimg=1000", "snapshot_kimg=1000"), uri, "hydra.run.dir=run")
    while not relay.count:  # MLflow opens
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.terminate()
    out, err = process.communicate(timeout=35)  # MLflow itself gives up after 20 seconds, for each record
    assert process.returncode == 75, out + err
    assert "ended by SIGTERM; it goes on with: " in err
    assert "MLflow lacks" in out
    assert "Traceback" not in err
    relay.refuse()


@pytest.mark.slow
def test_a_closed_terminal_and_a_closed_pipe_leave_a_checkpoint(cache_dir, tmp_path):
    overrides = tiny(cache_dir, "mlflow.tracking_uri=null", "kimg=1000", "snapshot_kimg=1")
    for name in ("SIGHUP", "SIGPIPE"):
        process, run_dir = command(tmp_path, *overrides, f"hydra.run.dir={name}"), tmp_path / name
        await_file(run_dir / "checkpoint-000000.pt", process)
        if name == "SIGHUP":
            process.send_signal(signal.SIGHUP)
        else:
            process.stdout.close()  # as `| head` does; the line of the next snapshot finds it
            process.stdout = None
        _, err = process.communicate(timeout=100)
        assert process.returncode == 75, err
        assert f"ended by {name}; it goes on with: " in err
        assert "Traceback" not in err
        assert (run_dir / "latest.pt").exists() or (run_dir / "checkpoint-000001.pt").exists()


# `train.py` with a SIGTERM to itself in the middle of the FID after 1 kimg
IN_A_MEASUREMENT = f"""
import os, runpy, signal, sys
from clipgan.metrics.measures import fid

compute, calls = fid.fid, []

def interrupted(*arguments, **options):
    calls.append(arguments)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    return compute(*arguments, **options)

fid.fid = interrupted
sys.argv[0] = {str(ROOT / "train.py")!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.endurance
def test_an_interrupted_snapshot_is_repeated_by_the_resumed_run(cache_dir, tmp_path, whole):
    overrides, run_dir = tiny(cache_dir, SHORT_STEPS, "mlflow.tracking_uri=null", "keep_last=null"), tmp_path / "run"
    ended = warm.run(
        [sys.executable, "-c", IN_A_MEASUREMENT, *overrides, "hydra.run.dir=run"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert ended.returncode == 75, ended.stdout + ended.stderr
    assert "ended by SIGTERM; it goes on with: " in ended.stderr
    assert [record["step"] for record in repeatable(run_dir)] == [0]
    assert load_checkpoint(run_dir / "latest.pt", CPU)["state"]["step"] == 32  # the first of 1 kimg or more
    finish(overrides, run_dir)
    assert_same_run(whole, run_dir)


@pytest.mark.slow
def test_the_trial_of_a_stopped_sweep_resumes_at_its_step(cache_dir, tmp_path):
    arguments = [
        "-m",
        *tiny(cache_dir, SHORT_STEPS, "kimg=1"),
        "h=0.5",
        "mlflow.tracking_uri=null",
        "hydra.sweep.dir=sweep",
    ]
    process = command(tmp_path, *arguments)
    await_file(tmp_path / "sweep" / "0" / "checkpoint-000000.pt", process)
    time.sleep(0.3)
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, out + err
    assert "it waits again" in out
    step = load_checkpoint(tmp_path / "sweep" / "0" / "latest.pt", CPU)["state"]["step"]
    out, err = (process := command(tmp_path, *arguments)).communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert f"latest.pt, step {step}\n" in out


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_ctrl_c_ends_at_once(first):
    interruption = Interruption()

    def twice():
        with interruption.heeding():
            signal.raise_signal(first)
            signal.raise_signal(signal.SIGTERM)  # as of a launcher that passes on what its child got already
            assert interruption.signal == first
            with pytest.raises(Interrupted, match=first.name):
                interruption.check()
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        twice()


@pytest.mark.parametrize("swallowed", [False, True])
def test_a_signal_does_not_wait_for_a_measurement(swallowed):
    interruption, reached = Interruption(), []

    def measure():
        library = suppress(BaseException) if swallowed else nullcontext()  # as its clean-up may do
        with interruption.heeding(), interruption.interruptible(), library:
            signal.raise_signal(signal.SIGTERM)
            reached.append("the end")

    with pytest.raises(Interrupted, match="SIGTERM"):
        measure()
    assert reached == []


def test_the_surrounding_program_gets_the_signal_at_the_end():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        interruption = Interruption()
        with interruption.heeding():
            signal.raise_signal(signal.SIGTERM)
            assert heard == []
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
