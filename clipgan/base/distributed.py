"""Data parallelism over the processes of torch.distributed; in a single process, these functions do nothing.

Each process computes the contrastive loss of all rows, and treats the rows of other processes as constants. So the sum
of all processes' gradients is the gradient of the whole batch.

Processes find each other by the variables that torchrun sets: RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT.

Shapes: n rows of this process, W processes.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from clipgan.base.errors import ProcessError, UserError
from clipgan.base.out_of_memory import is_out_of_memory
from clipgan.base.text import first_line

T = TypeVar("T")
_control: list[Any] = []  # the process group for control messages, while processes are joined
_stores: dict[str, dist.Store] = {}  # by port
VARIABLES = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
PATIENCE = timedelta(days=30)  # how long a process waits for the first one to prepare data and features
# How long a process waits for another one that is alive: it may be measuring a snapshot. `clipgan.base.heartbeat` ends
# the wait for a silent one in minutes.
TIMEOUT = timedelta(hours=2)

# What gloo's messages have around the reason: "[a source file:a line] ... Check the logs of ... GLHF!"
GLOO_EXTRAS = re.compile(r"^\[\S+:\d+\] |\. This (is typically caused by|may indicate) .*")


def planned_size() -> int:
    """Return W, also before the processes have joined."""
    return int(os.environ["WORLD_SIZE"]) if os.environ.keys() >= VARIABLES else 1


def planned_rank() -> int:
    """Return this process's number, from 0, also before the processes have joined."""
    return int(os.environ["RANK"]) if planned_size() > 1 else 0


def world_size() -> int:
    """W."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_joined() -> bool:
    """Whether the processes exchange anything; a group of one process does so too, if `group` has made it."""
    return bool(_control) or world_size() > 1


def rank() -> int:
    """Return this process's number, from 0. The first process writes files and reports."""
    return dist.get_rank() if world_size() > 1 else 0


def own_device(device: torch.device) -> torch.device:
    """Choose this process's device: each process of a host has its own GPU.

    Raises:
        UserError: the user named one GPU for all processes, or there are too few GPUs.
    """
    if device.type == "cpu" or planned_size() == 1:
        return device
    number, here = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if device.index is not None:
        raise UserError(f"device={device} is not allowed for {planned_size()} processes: each needs a GPU; take cuda")
    if number >= here:
        raise UserError(f"{planned_size()} processes need a GPU each, and {here} are here; take fewer, or device=cpu")
    return torch.device("cuda", number)


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Join the other processes, if there are any, while the block runs.

    Args:
        device: this process's own; a GPU is CUDA's current device already.
    """
    if planned_size() == 1 or is_joined():
        yield
        return
    with group(device):
        yield


@contextmanager
def group(device: torch.device) -> Iterator[None]:
    """Join all processes that torchrun has started, also a single one; see `joined`."""
    on_gpu = device.type == "cuda"
    try:
        dist.init_process_group(
            "nccl" if on_gpu else "gloo",
            store=_store(),
            rank=planned_rank(),
            world_size=planned_size(),
            timeout=TIMEOUT,
            # NCCL connects now, and a failure shows here; `cuda` has no number, which PyTorch wants
            device_id=torch.device("cuda", torch.cuda.current_device()) if on_gpu else None,
        )
        _control.append(dist.new_group(backend="gloo", timeout=TIMEOUT))  # for numbers on the CPU: it waits for no GPU
        yield
    finally:
        _control.clear()
        if dist.is_initialized():
            dist.destroy_process_group()


@contextmanager
def _exchanging() -> Iterator[None]:
    """Turn the failure of an exchange into one message: all processes but the one that died see it."""
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        said = GLOO_EXTRAS.sub("", first_line(error))
        raise ProcessError(f"process {rank()} of {world_size()} has lost another one: {said}") from error


def value_of_first(name: str, value: str) -> str:
    """Return the first process's value in all processes, also before they have joined."""
    if planned_size() == 1:
        return value
    if planned_rank() == 0:
        _store().set(name, value)
    _store().wait([name], PATIENCE)
    return _store().get(name).decode()


@contextmanager
def after_first(name: str) -> Iterator[None]:
    """Run the block in the first process, and then in the others, which find in the cache what the first one made."""
    if planned_rank() > 0:
        value_of_first(name, "")
    yield
    if planned_rank() == 0:
        value_of_first(name, "")


@contextmanager
def threads_of(given: int | None) -> Iterator[None]:
    """Compute with so many threads while the block runs; None: with an equal share of the usual number."""
    before = torch.get_num_threads()
    torch.set_num_threads(given or max(1, before // planned_size()))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def any_process(value: bool) -> bool:
    """Whether the value is true in at least one process; all processes wait for each other."""
    if not is_joined():
        return value
    box = torch.tensor(int(value))
    with _exchanging():
        dist.all_reduce(box, group=_control[0] if _control else None)
    return box.item() > 0


def minimum_of_all(value: int) -> int:
    """Return the smallest of all processes' values; all processes wait for each other."""
    if not is_joined():
        return value
    box = torch.tensor(value)
    with _exchanging():
        dist.all_reduce(box, op=dist.ReduceOp.MIN, group=_control[0] if _control else None)
    return int(box)


@contextmanager
def hosted_store() -> Iterator[int]:
    """Host a store for messages between the processes of this host while the block runs; yields its port."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=TIMEOUT)
    _stores[str(store.port)] = store
    try:
        yield store.port
    finally:
        _stores.clear()


def _store() -> dist.Store:
    """Connect to the store for messages between processes; torchrun's variables name it."""
    port = os.environ["MASTER_PORT"]
    if port not in _stores:
        _stores[port], _, _ = next(dist.rendezvous("env://", timeout=TIMEOUT))
    return _stores[port]


def gather(rows: Tensor) -> Tensor:
    """Gather rows from all processes, by rank: [n, ...] -> [W n, ...]; this process's rows keep their gradient."""
    if not is_joined():
        return rows
    everyone = [torch.empty_like(rows) for _ in range(world_size())]
    with _exchanging():
        dist.all_gather(everyone, rows.detach().contiguous())
    everyone[dist.get_rank()] = rows
    return torch.cat(everyone)


def total_with_gradient(value: Tensor) -> Tensor:
    """Sum the values of all processes; the sum can be differentiated twice."""
    summed: Tensor = _Total.apply(value) if is_joined() else value
    return summed


class _Total(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of their gradients. PyTorch's own function is deprecated."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return total(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return total_with_gradient(gradient)


def total(value: Tensor) -> Tensor:
    """Sum the values of all processes, without gradient."""
    if not is_joined():
        return value.detach()
    value = value.detach().clone()
    with _exchanging():
        dist.all_reduce(value)
    return value


def from_first(value: T) -> T:
    """Return the first process's plain object in all processes."""
    if not is_joined():
        return value
    held = [value]
    with _exchanging():
        dist.broadcast_object_list(held, src=0, group=_control[0] if _control else None)
    return held[0]


def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Sum each parameter's gradient over the processes, in one message."""
    if not is_joined():
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    with _exchanging():
        dist.all_reduce(flat)
    for gradient, summed in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))
