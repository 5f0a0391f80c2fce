"""How many trials share a GPU with `hydra.sweeper.workers_per_gpu=auto`: measured while the first ones train."""

import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from clipgan.base.nvidia_smi import Gpu, read_gpus
from sweeps.base.settings import Settings
from sweeps.points.trial_record import TrialRecord
from sweeps.study.owner import is_here
from sweeps.workers.machine import devices, environment, workers_beside

SAMPLES = 10  # looks at the GPUs, one a second
SPARE = 0.1  # share of a GPU's memory that stays free
MOST = 8  # trials on a GPU
WITH_MPS = 4  # trials that fit on a GPU with MPS however busy it seems: their kernels run at the same time


def trials_per_gpu(memory: float, before: float, used: float, busy: float, mps: bool = False) -> int:
    """Compute how many trials like the one that runs now a GPU can hold; at least 1.

    Args:
        memory: the GPU's memory; this and the next two in any unit.
        before: memory in use before the trial.
        used: memory in use with the trial.
        busy: share of the time in which the trial keeps the GPU busy, in %.
        mps: whether the kernels of several processes run at the same time.
    """
    own = used - before
    if own <= 0:
        return 1  # the trial does not use this GPU
    by_memory = 1 + int(((1 - SPARE) * memory - used) / own)
    by_time = max(int(100 / max(busy, 1)), WITH_MPS if mps else 1)
    return max(1, min(by_memory, by_time, MOST))


def has_mps() -> bool:
    """Whether NVIDIA's MPS runs on this machine, where CUDA's processes look for it."""
    folder = Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"))
    try:
        return psutil.pid_exists(int((folder / "nvidia-cuda-mps-control.pid").read_text()))  # the daemon's
    except (OSError, ValueError):
        return False


@dataclass
class GpuSharing:
    """Decides once, while a sweep runs with one trial on each GPU, how many further workers fit."""

    settings: Settings
    before: Mapping[str, Gpu]  # by UUID: the GPUs before the first trial
    n_open: Callable[[], int]  # trials that have not started
    say: Callable[[str], None]
    decided: bool = field(default=False, init=False)
    _first_step: dict[int, int] = field(default_factory=dict, init=False)  # trial -> its last step when first seen
    _training: set[int] = field(default_factory=set, init=False)  # process ids of workers whose trial has trained
    _samples: list[Mapping[str, Gpu]] = field(default_factory=list, init=False)

    def further(self, changed: Iterable[TrialRecord], workers: Sequence[int]) -> list[dict[str, str]]:
        """Return the shares of the workers to add now; called about once a second.

        A trial has seen all its memory when it has reported a step that it did in this run: it has trained, and it has
        measured a snapshot.

        Args:
            changed: the trials that have changed since the last call.
            workers: the process ids of the running workers.
        """
        if self.decided:
            return []
        self._note(changed)
        if not workers or not self._training.issuperset(workers):
            return []
        self._samples.append(known_gpus(self.settings))
        if len(self._samples) < SAMPLES:
            return []
        self.decided = True
        n_more = self._workers(len(workers)) - len(workers)
        n_all = len(workers) + n_more
        return [environment(self.settings, n_all, place) for place in range(len(workers), n_all)]

    def _note(self, changed: Iterable[TrialRecord]) -> None:
        for record in changed:
            if record.state == "RUNNING" and record.owner and is_here(record.owner):
                last = max(record.steps, default=0)
                if last > self._first_step.setdefault(record.number, last):
                    self._training.add(record.owner["pid"])

    def _workers(self, n_running: int) -> int:
        """Decide on the number of workers, and say why."""
        each, memory, busy, mps = MOST, 0.0, 0.0, has_mps()
        for uuid, gpu in self.before.items():
            seen = [sample[uuid] for sample in self._samples if uuid in sample]
            if not seen:
                return n_running
            used, share = max(one.used or 0 for one in seen), statistics.mean(one.busy or 0 for one in seen)
            each = min(each, trials_per_gpu(gpu.memory or 0, gpu.used or 0, used, share, mps))
            memory, busy = max(memory, used - (gpu.used or 0)), max(busy, share)
        n_workers = min(workers_beside(self.settings, each, n_running), n_running + self.n_open())
        self.say(
            f"workers_per_gpu=auto: a trial uses {memory / 1024:.1f} GiB of its GPU and keeps it busy for {busy:.0f} %"
            f" of the time{' with MPS' * mps}, so {each} {'fits' if each == 1 else 'fit'} on a GPU;"
            f" {n_workers} workers in all"
        )
        return n_workers


def known_gpus(settings: Settings) -> dict[str, Gpu]:
    """Map UUIDs to the sweep's GPUs, those of which the driver knows memory and use."""
    names = devices(settings)
    return {
        gpu.uuid: gpu for gpu in read_gpus() if None not in (gpu.memory, gpu.used, gpu.busy) and gpu.is_any_of(names)
    }


def sharing_of(settings: Settings, n_open: Callable[[], int], say: Callable[[str], None]) -> GpuSharing | None:
    """Begin to measure, before the first trial; None, with a line that says why, if each GPU gets one trial."""
    names = devices(settings)
    if settings.workers_per_gpu != "auto" or not names:
        return None
    gpus = known_gpus(settings)
    if len(gpus) < len(names):
        say("workers_per_gpu=auto: nvidia-smi does not tell memory and use of each GPU, so each gets one worker")
        return None
    if any(gpu.exclusive for gpu in gpus.values()):
        say("workers_per_gpu=auto: a GPU in compute mode EXCLUSIVE_PROCESS serves one process, so each gets one worker")
        return None
    return GpuSharing(settings, gpus, n_open, say)
