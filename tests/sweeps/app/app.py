"""A task to sweep with: its objective is (h - 0.5)^2 plus the offset of the loss group, and noise of the seed."""

import ctypes
import errno
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from sweeps.job.current_trial import RunningTrial, current_trial
from sweeps.job.task_function import PermanentFailure

STEPS = 4  # of the mode `checkpoint`
BASE = {"version_base": "1.3"} if hydra.__version__.startswith("1.3.") else {}  # later versions warn of it


class DivergenceError(ArithmeticError):
    pass


class OutOfMemoryError(RuntimeError):
    """As torch names its own."""


def note(config: DictConfig) -> None:
    """One line for each time that a job starts."""
    with Path("started.log").open("a") as file:
        file.write(f"{HydraConfig.get().job.num} {config.h} {config.loss.name}\n")


def run_dir() -> Path:
    return Path(HydraConfig.get().runtime.output_dir)


def wait(name: str, until: str = "go") -> None:
    """Make the file `name`, and wait for another."""
    Path(name).touch()
    while not Path(until).exists():
        time.sleep(0.02)


def train_beside_another(trial: RunningTrial, value: float) -> None:
    """Report step after step, until another job has started too."""
    (Path("jobs") / str(trial.number)).mkdir(parents=True)
    step = 0
    while len(list(Path("jobs").iterdir())) < 2:
        trial.report(value, step)
        step += 1
        time.sleep(0.3)


def swallow() -> None:
    """Wait, and make something else of the signal that ends it, as a library interrupted in its clean-up does."""
    try:
        wait("hanging")
    except (KeyboardInterrupt, SystemExit):
        raise AttributeError("the library's own") from None


def train() -> None:
    """A training that keeps its step in a file, and halts before the last one until the file `go` is there."""
    counter = run_dir() / "step"
    first = int(counter.read_text()) if counter.exists() else 0
    with (run_dir() / "steps.log").open("a") as log:
        for step in range(first + 1, STEPS + 1):
            if step == STEPS:
                wait("hanging")
            print(f"step {step}", file=log, flush=True)
            counter.write_text(str(step))


def fill(path: Path) -> None:
    """Write more than a small disk holds, and take it away again, while another job writes nothing."""
    wait("ready", until="beside")
    try:
        path.write_bytes(bytes(2**24))
    finally:
        path.unlink()
        Path("filled").touch()


def end_strangely(mode: str) -> None:
    if mode == "again":
        sys.exit(75)
    if mode == "signals_itself":
        os.kill(os.getpid(), signal.SIGTERM)
    if mode == "os_exit":
        os._exit(0)
    if mode == "c_exit":  # as a library's own code calls it
        ctypes.CDLL(None)._exit(0)
    if mode == "leaves":  # a thread and a child that end no sooner than the test
        threading.Thread(target=time.sleep, args=(600,)).start()
        Path("child").write_text(str(subprocess.Popen(["sleep", "600"]).pid))
    if mode == "wander":
        gone = Path("gone").absolute()
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()


def misbehave(mode: str, config: DictConfig) -> None:
    if mode in ("raise", "hopeless"):
        raise (DivergenceError if mode == "raise" else PermanentFailure)(f"loss is nan at h={config.h}")
    if mode == "raise_once" and not Path("raised").exists():
        Path("raised").touch()
        raise DivergenceError(f"loss is nan at h={config.h}")
    if mode == "exit":
        raise SystemExit(3)
    if mode == "preempted" and not Path("preempted").exists():
        Path("preempted").touch()
        sys.exit(75)
    end_strangely(mode)
    if mode == "memory":
        raise MemoryError
    if mode == "gpu_memory":
        raise OutOfMemoryError("CUDA out of memory")
    if mode == "fill":
        fill(run_dir() / "data")
    if mode == "quota":
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
    if mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if mode in ("hang", "stubborn"):
        wait("hanging")
    if mode == "checkpoint":
        train()


@hydra.main(config_path="conf", config_name="config", **BASE)
def main(config: DictConfig) -> object:
    note(config)
    print(f"hello from h={config.h}")
    time.sleep(config.seconds)
    value = (config.h - 0.5) ** 2 + config.loss.offset + config.noise * math.sin(config.seed)
    bad = config.only_at is None or config.only_at == config.h
    trial = current_trial()
    if config.mode == "report" and trial is not None:
        for step in (1, 2):
            trial.report(value + 10 / step, step)
        trial.set("sec_per_kimg", 1.5)
        Path(HydraConfig.get().runtime.output_dir, "parent.txt").write_text(str(trial.parent_run_id))
    if config.mode == "curve" and trial is not None:
        trial.set("sec_per_step", 0.5 * config.C_it)
        for step in range(config.steps + 1):
            if trial.report(value + 10 / (step + 1), step) and step < config.steps:
                trial.end_as_pruned()
    if config.mode == "beside" and trial is not None:
        train_beside_another(trial, value)
    if config.mode == "swallow":
        swallow()
    if config.mode == "interrupt" and bad:
        raise KeyboardInterrupt
    if config.mode == "fill" and not bad:
        wait("beside", until="filled")
    if bad:
        misbehave(config.mode, config)
        if config.mode in ("not_a_number", "text"):
            return math.nan if config.mode == "not_a_number" else "good"
    return float(value)


if __name__ == "__main__":
    main()
