"""Parts that run commands as a user does: `startup`, `sharing`, `quality`, `control`, `bits` and `processes`."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from bench.gpu.findings import Findings, Setting
from bench.gpu.trainings import real_training
from clipgan.base.device import choose_device
from clipgan.engine.checkpoint_file import checkpoint_path

ROOT = Path(__file__).parents[2]
KIMG = 40  # of a training for quality


def train(
    setting: Setting,
    *overrides: str,
    run_dir: Path | None = None,
    module: str = "",
    torchrun: int = 0,
    folder: Path = ROOT,
) -> float:
    """Run train.py to its end, and return its seconds.

    Args:
        run_dir: where its files go.
        module: a module to run in place of train.py.
        torchrun: the number of processes that torchrun starts; 0: no torchrun.
        folder: the working directory.

    Raises:
        RuntimeError: it failed; the message is its last line.
    """
    flags = [word for word in overrides if word.startswith("-")]
    words = setting.overrides(*(word for word in overrides if word not in flags))
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(torchrun)] if torchrun else []
    command = [sys.executable, *launcher, *(["-m", module] if module else [str(ROOT / "train.py")]), *flags, *words]
    command += [f"hydra.run.dir={run_dir}"] if run_dir else []
    log = setting.folder / f"{run_dir.name if run_dir else 'command'}.log"
    begin = time.time()
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])  # `-m` in another folder
    environment = os.environ | {"STARTED": str(begin), "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    with log.open("w") as file:
        status = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, cwd=folder, env=environment, check=False
        )
    if status.returncode:
        lines = [line for line in log.read_text().splitlines() if line.strip()] or ["no message"]
        raise RuntimeError(f"status {status.returncode}: {lines[-1]}")
    return time.time() - begin


def prepare(setting: Setting, found: Findings) -> None:
    """Fill the cache: drawn shapes, the small encoders, their features, and the real images' features."""
    begin = time.monotonic()
    real_training(setting)
    found.put("seconds", time.monotonic() - begin)


def startup(setting: Setting, found: Findings) -> None:
    """Time a command from its start to its first step and to its step 100, twice if there is time."""
    for number, name in enumerate(("first command", "second command")):
        if number and setting.left() < 13:
            continue
        with found.attempt(name):
            train(setting, "kimg=2", run_dir=setting.folder / str(number), module="bench.gpu.timed_train")
            found.put(name, json.loads((setting.folder / str(number) / "times.json").read_text()))


def sharing(setting: Setting, found: Findings) -> None:
    """Run the demo's three trials one after the other, then side by side on the same GPU."""
    row: dict[str, Any] = {"mps": "CUDA_MPS_PIPE_DIRECTORY" in os.environ}
    for workers in (1, 3):
        place = setting.folder / str(workers)
        with found.attempt(f"{workers} at a time"):
            row[str(workers)] = train(
                setting, "-m", "loss=symmetric", "h=0.1,0.5,2", f"kimg={setting.count(24, 2)}",
                f"hydra.sweep.dir={place}",
                f"hydra.sweeper.storage=sqlite:///{place}.db", f"hydra.sweeper.workers_per_gpu={workers}",
            )  # fmt: skip
            row[f"{workers}, trials"] = seconds_of_trials(f"sqlite:///{place}.db")
            row[f"{workers}, training s/kimg"] = [_speed(file) for file in sorted(place.glob("*/metrics.jsonl"))]
            found.put("three trials", row)
    if {"1", "3", "1, trials", "3, trials"} <= row.keys():
        ratios = {"commands' ratio": row["1"] / row["3"], "throughput": row["1, trials"] / row["3, trials"]}
        found.put("three trials", row | ratios)


def seconds_of_trials(storage: str) -> float:
    """Return the seconds from the start of a study's first trial to the end of its last one."""
    import optuna

    [name] = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=name, storage=storage).trials
    begin = min(trial.datetime_start for trial in trials if trial.datetime_start)
    return (max(trial.datetime_complete for trial in trials if trial.datetime_complete) - begin).total_seconds()


def _speed(file: Path) -> float:
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return min(row["sec_per_kimg"] for row in rows if "sec_per_kimg" in row)


def quality(setting: Setting, found: Findings, seed: int) -> None:
    """Train for 40 kimg, measured by the protocol of the CPU's values; the last FID and its deviation."""
    kimg = setting.count(KIMG, 2)
    folder = setting.folder / str(seed)
    lengths = (f"kimg={kimg}", f"snapshot_kimg={max(1, kimg // 4)}")
    spent = train(setting, *lengths, f"seed={seed}", run_dir=folder)
    found.put(f"seed {seed}", last_metrics(folder) | {"command, seconds": spent})


def control(setting: Setting, found: Findings) -> None:
    """Run `make quality` for as long as there is: does the picture show its caption?"""
    from bench.quality import outputs  # imports what the other parts do not need

    place, figure, _ = (setting.folder / path for path in outputs(choose_device(setting.device)))
    figure.parent.mkdir()
    lengths = ["kimg=1", "snapshot_kimg=1"] if setting.small else [f"seconds={max(1, round(setting.left() - 60))}"]
    train(setting, *lengths, module="bench.quality", folder=setting.folder)
    result = json.loads((place / "quality.json").read_text())
    found.put("last", result["curve"][-1] | {name: result[name] for name in ("minutes", "targets", "real")})
    found.put("curve", result["curve"])


def last_metrics(run_dir: Path) -> dict[str, Any]:
    """Return FID, its deviation and the training's speed, of a run's last snapshot."""
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    [key] = {
        key for row in rows for key in row if re.fullmatch(r"fid\d+k?_\w+", key) and not key.endswith(("_sd", "_best"))
    }
    snapshots = [row for row in rows if key in row]
    return {
        "name": key, "fid": snapshots[-1][key], "fid_sd": snapshots[-1].get(f"{key}_sd"), "kimg": snapshots[-1]["step"],
        "course": [[row["step"], row[key]] for row in snapshots],
        "s/kimg": min(row["sec_per_kimg"] for row in rows if "sec_per_kimg" in row),
    }  # fmt: skip


def bits(setting: Setting, found: Findings) -> None:
    """With `deterministic=true`, a repeated training has the same bits, and so has a resumed one."""
    resumed, whole = setting.folder / "resumed", setting.folder / "whole"
    common = ("deterministic=true", "snapshot_kimg=1", "keep_last=null")
    together(
        lambda: train(setting, "kimg=1", *common, run_dir=resumed),
        lambda: train(setting, "kimg=2", *common, run_dir=whole),
    )
    found.check("repeated, 1 kimg", *same_state(resumed, whole, 1))
    train(setting, "kimg=2", *common, run_dir=resumed)
    found.check("resumed at 1 kimg, 2 kimg", *same_state(resumed, whole, 2))


def processes(setting: Setting, found: Findings) -> None:
    """NCCL: a group of one process gives the bits of a plain run; with two GPUs, two processes train."""
    plain, one = setting.folder / "plain", setting.folder / "one"
    common = ("deterministic=true", "kimg=1", "snapshot_kimg=1", "graphs=off")  # processes that exchange run eagerly
    together(
        lambda: train(setting, *common, run_dir=plain),
        lambda: train(setting, *common, run_dir=one, module="bench.gpu.joined_train", torchrun=1),
    )
    found.check("torchrun with one process", *same_state(plain, one, 1))
    if torch.cuda.device_count() < 2:
        found.put("two GPUs", "left out: this machine has fewer")
        return
    train(setting, *common, run_dir=setting.folder / "two", torchrun=2)
    found.put("two GPUs", last_metrics(setting.folder / "two"))


def together(*actions: Callable[[], object]) -> None:
    """Run actions at the same time, and raise the first error."""
    with ThreadPoolExecutor() as threads:
        for result in [threads.submit(action) for action in actions]:
            result.result()


def same_state(one: Path, other: Path, kimg: int) -> tuple[bool, str]:
    """Compare the states of two runs' checkpoints, bit for bit."""
    states = [
        torch.load(checkpoint_path(run_dir, kimg), map_location="cpu", weights_only=False)["state"]
        for run_dir in (one, other)
    ]
    different = [name for name, a, b in _leaves(*states) if not _equal(a, b)]
    return not different, f"{len(different)} values differ: {', '.join(different[:3])}" if different else "equal bits"


def _leaves(one: Any, other: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(one, dict):
        return [leaf for key in one for leaf in _leaves(one[key], other[key], f"{name}/{key}")]
    if isinstance(one, list | tuple):
        pairs = zip(one, other, strict=True)
        return [leaf for place, (a, b) in enumerate(pairs) for leaf in _leaves(a, b, f"{name}/{place}")]
    return [(name, one, other)]


def _equal(one: Any, other: Any) -> bool:
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else bool(one == other)
