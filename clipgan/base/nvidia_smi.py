"""Ask NVIDIA's driver about the GPUs, by the program `nvidia-smi`; this needs neither PyTorch nor CUDA."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

QUERY = "index,uuid,memory.total,memory.used,utilization.gpu,compute_mode"
PATIENCE = 20  # seconds; without a daemon that keeps the driver loaded, an answer takes seconds


@dataclass(frozen=True)
class Gpu:
    """What the driver says of a GPU at a moment; None: it does not know, for example of a GPU that MIG has divided."""

    index: str  # as in `cuda:N`, if CUDA_DEVICE_ORDER=PCI_BUS_ID or all GPUs are of one kind
    uuid: str  # GPU-...
    memory: float | None  # MiB
    used: float | None  # MiB, by all processes
    busy: float | None  # %: the share of the last second, or less, in which at least one kernel ran
    exclusive: bool  # whether only one process can use it

    def is_any_of(self, names: Sequence[str]) -> bool:
        """Whether one of CUDA's names means this GPU: an index, or the beginning of a UUID."""
        return any(self.index == name or self.uuid.startswith(name) for name in names)


def read_gpus() -> list[Gpu]:
    """Describe each GPU of this machine, in the order of the indices; an empty list if the driver does not answer."""
    command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return parsed(answer)


def parsed(answer: str) -> list[Gpu]:
    """Parse the driver's answer: one line for each GPU, with the values of `QUERY`."""
    found = []
    for line in answer.splitlines():
        values = [value.strip() for value in line.split(",")]
        if len(values) == len(QUERY.split(",")):
            index, uuid, memory, used, busy, mode = values
            exclusive = mode.startswith("Exclusive")  # Exclusive_Process; old drivers also have Exclusive_Thread
            found.append(Gpu(index, uuid, _number(memory), _number(used), _number(busy), exclusive))
    return found


def _number(text: str) -> float | None:
    """Read a number; `[N/A]`, `[Not Supported]` and `[Unknown Error]` are None."""
    try:
        return float(text)
    except ValueError:
        return None
