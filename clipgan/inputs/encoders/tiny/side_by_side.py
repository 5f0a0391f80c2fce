"""Training the small encoders side by side: each in a process of its own, on one thread, as many as there are cores.

On two cores this takes half the time of one training after the other; threads of one process gain nothing.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from clipgan.base import console as progress
from clipgan.base.cache import digest
from clipgan.base.children import ChildDied, call_in_processes
from clipgan.base.console import console
from clipgan.base.device import allows_one_process, make_current
from clipgan.config import ClipConfig, DataConfig, TinyResNetTraining
from clipgan.inputs.data.loading import load_data
from clipgan.inputs.data.pack import PackedData
from clipgan.inputs.encoders.tiny.tiny_clip import clip_description, train_tiny_clip
from clipgan.inputs.encoders.tiny.tiny_resnet import resnet_description, train_tiny_resnet

WORTH_A_PROCESS = 50  # steps; fewer take less time than a process takes to import torch
Training = ClipConfig | TinyResNetTraining  # of a CLIP: its `train`


def train_side_by_side(
    trainings: Sequence[Training], data: DataConfig, resolution: int, cache_dir: Path, device: torch.device
) -> list[Path]:
    """The cache entries of these trainings, in their order; those that are not there yet are trained at the same time.

    Where one is missing at most, or a GPU serves one process only, no process is started.

    Args:
        trainings: how to train the small CLIPs and ResNets that a run needs; give the longest first.
        data: the data set, which every process opens.
        resolution: of the packed images, pixels.
        cache_dir: the root of the cache.
        device: where to train.

    Raises:
        UserError, DivergenceError: as `train_tiny_clip` and `train_tiny_resnet` do.
    """
    packed = load_data(data, resolution, cache_dir)
    missing: list[Training] = []
    for training in trainings:
        worth = _steps(training) >= WORTH_A_PROCESS and training not in missing
        if worth and not _is_trained(training, packed, cache_dir):
            missing.append(training)
    if len(missing) > 1 and allows_one_process(device):
        console.print(f"the encoders train one by one: {device} is in compute mode EXCLUSIVE_PROCESS")
    elif len(missing) > 1:
        calls = [(each, data, resolution, cache_dir, str(device)) for each in missing]
        outcomes = call_in_processes(_train, calls, at_once=min(len(missing), os.cpu_count() or 1))
        failed = [outcome for outcome in outcomes if outcome is not None]
        for outcome in failed:
            if not isinstance(outcome, ChildDied):
                raise outcome
        if failed:
            console.print("a process that trained an encoder has died, perhaps for want of memory: one by one now")
    return [_train_packed(training, packed, cache_dir, device) for training in trainings]


def _steps(training: Training) -> int:
    if isinstance(training, ClipConfig):
        assert training.train is not None
        return training.train.steps
    return training.steps


def _is_trained(training: Training, packed: PackedData, cache_dir: Path) -> bool:
    if isinstance(training, ClipConfig):
        assert training.train is not None
        return (cache_dir / "clip" / digest(clip_description(training.train, packed, training.model))).is_dir()
    return (cache_dir / "resnet" / digest(resnet_description(training, packed))).is_dir()


def _train(training: Training, data: DataConfig, resolution: int, cache_dir: Path, device: str) -> None:
    """The body of a process. Bars of several would overwrite each other on a terminal: it prints lines."""
    progress.console = progress.PlainConsole(force_terminal=False)
    make_current(torch.device(device))
    _train_packed(training, load_data(data, resolution, cache_dir), cache_dir, torch.device(device))


def _train_packed(training: Training, packed: PackedData, cache_dir: Path, device: torch.device) -> Path:
    if isinstance(training, ClipConfig):
        assert training.train is not None
        return train_tiny_clip(training.train, packed, cache_dir, device, training.model)
    return train_tiny_resnet(training, packed, cache_dir, device)
