"""Shared parts of the benches: arguments, actions that take turns, tables, files of results, curves."""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from rich.console import Console
from rich.table import Table

from clipgan.base.console import console, track

if TYPE_CHECKING:
    import torch

    from clipgan.config import Config
    from clipgan.tasks.gan.preparation import Prepared
    from clipgan.tasks.gan.training import Training

FOLDER = Path("runs/bench")
LOAD_BEFORE = os.getloadavg()[0]  # of the machine, before the bench adds its own
Action = Callable[[], Any]


def arguments(doc: str | None, **options: int) -> tuple[dict[str, int], list[str]]:
    """Read the options of the command line, such as `rounds=1`, and all other words in their order.

    `--help` prints `doc` and ends the program. If an option's value is not a positive whole number, the program ends
    with a message.

    Args:
        doc: the bench's docstring.
        options: name and default of each option.
    """
    words = sys.argv[1:]
    if {"-h", "--help"} & set(words):
        print(doc)
        sys.exit()
    chosen, others = dict(options), []
    for word in words:
        name, _, value = word.partition("=")
        if name not in options:
            others.append(word)
        elif value.isdecimal() and int(value) > 0:
            chosen[name] = int(value)
        else:
            sys.exit(f"{word} is not allowed: {name} must be a whole number from 1")
    return chosen, others


def device_of(config: "Config") -> "torch.device":
    """Return the configuration's device, and set PyTorch's number of threads from the configuration."""
    import torch

    from clipgan.base.device import choose_device

    torch.set_num_threads(config.threads or torch.get_num_threads())
    return choose_device(config.device)


def new_training(config: "Config", folder: Path = FOLDER, prepared: "Prepared | None" = None) -> "Training":
    """Make a GAN's training before its first step; prepare its data unless `prepared` is given."""
    from clipgan.base.device import choose_device
    from clipgan.tasks.gan.preparation import prepare
    from clipgan.tasks.gan.training import Training

    prepared = prepared or prepare(config, choose_device(config.device))
    return Training(config, folder, prepared, device_of(config), None)


def seconds(action: Action, device: "torch.device | None" = None) -> float:
    """Measure the time of an action; on a GPU, until all its kernels have ended."""
    start = time.perf_counter()
    action()
    if device is not None and device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def in_turns(
    actions: Mapping[str, Action], rounds: int, device: "torch.device | None" = None, *, title: str = "rounds"
) -> dict[str, list[float]]:
    """Measure each action in each round, in seconds. Actions take turns, so a machine's drift affects all alike."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in track(range(rounds), title, rounds):
        for name, action in actions.items():
            times[name].append(seconds(action, device))
    return times


def ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """Return the median of the rounds' ratios. A drift of the machine between rounds does not change it."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def show(header: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """Print a table. In a file or a pipe, it is as wide as its cells, so that no number is cut off."""
    table = Table(*header, title=title)
    for row in rows:
        table.add_row(*map(str, row))
    (console if console.is_terminal else Console(width=200)).print(table)


def write(name: str, folder: Path = FOLDER, **record: Any) -> None:
    """Write `record`, the machine and the command line to `folder`/`name`.json, and print the path."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"machine": machine(), "arguments": sys.argv[1:], **record}, indent=1) + "\n")
    console.print(f"written: {file}")


def machine() -> dict[str, Any]:
    """Describe this machine: processor, cores, memory, load and versions."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    names = [line.partition(":")[2].strip() for line in cpuinfo.splitlines() if "model name" in line]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "load_before": LOAD_BEFORE,
        "python": platform.python_version(),
        "system": platform.platform(),
        "when": time.strftime("%Y-%m-%d %H:%M"),
    }


@contextmanager
def two_panels(file: Path) -> Iterator[Any]:
    """Yield two matplotlib axes side by side, and save them as an SVG. The same curves give the same file."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = file.stem
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(9, 3.4), sharex=True, layout="constrained")
    yield panels
    for panel in panels:
        panel.grid(alpha=0.3)
    file.parent.mkdir(exist_ok=True)
    figure.savefig(file, metadata={"Date": None})
