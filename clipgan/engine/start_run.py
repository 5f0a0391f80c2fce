"""Launch a run of any task: settle device, precision and determinism, prepare its data, join its processes, train."""

from collections.abc import Callable
from pathlib import Path

import torch

from clipgan.base.device import choose_device
from clipgan.base.distributed import after_first, joined, planned_rank, planned_size, threads_of
from clipgan.base.durable_files import remove_unfinished
from clipgan.base.heartbeat import watching_processes
from clipgan.base.memory import give_back_memory, measure_peak_from_now
from clipgan.base.run_lock import exclusive
from clipgan.config import Config
from clipgan.engine.compilation import check_compiler
from clipgan.engine.determinism import (
    deterministic_algorithms,
    is_deterministic,
    settle_cublas,
)
from clipgan.engine.precision import Precision, with_precisions
from clipgan.engine.result import Report, Result
from clipgan.engine.run import Run
from clipgan.engine.step_graphs import check_graphs
from clipgan.tracking.run_description import Origin
from clipgan.tracking.tensorboard_events import check_installed

WRITTEN = ("checkpoint-*.pt", "latest.pt", "metrics.jsonl", "mlflow_*.txt")  # files that are replaced as a whole
# Seconds that a trial waits for its run directory: a host that has lost its connection may still end the trial there.
PATIENCE = 120.0

# A task's preparation: it fills the cache, and returns a function that makes the run after all processes have joined.
PrepareRun = Callable[[Config, Path, torch.device, Report | None], Callable[[], Run]]


def launch(config: Config, run_dir: Path, prepare_run: PrepareRun, report: Report | None, origin: Origin) -> Result:
    """Prepare a run and train it, in one process or in several.

    Args:
        config: the run.
        run_dir: where its files go; made if missing.
        prepare_run: the task's preparation; it may use all cores, even if the training uses fewer.
        report: called with the objective at each snapshot.
        origin: the command or the sweep that started the run.

    Raises:
        UserError: the device does not support the configuration; `prepare_run` and the run may also raise it.
        ProcessError: another process uses `run_dir`.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    try:
        if planned_rank() > 0:
            return _launch(config, run_dir, prepare_run, report, origin)
        with exclusive(run_dir, patience=0.0 if report is None else PATIENCE):
            remove_unfinished(run_dir, WRITTEN)
            return _launch(config, run_dir, prepare_run, report, origin)
    finally:
        give_back_memory()  # to other trials on this GPU


def _launch(config: Config, run_dir: Path, prepare_run: PrepareRun, report: Report | None, origin: Origin) -> Result:
    if config.deterministic and config.device != "cpu":
        settle_cublas()  # before the choice of a GPU, which initialises CUDA
    device = choose_device(config.device)
    measure_peak_from_now(device)
    deterministic = is_deterministic(config.deterministic, device)
    if config.compile is not None:
        check_compiler(config.compile, device)
    check_installed(config.log)
    check_graphs(config.graphs, planned_size())
    config = with_precisions(config, device)
    precision = Precision(config.precision, device)
    with watching_processes():
        with after_first("prepared"):
            make_run = prepare_run(config, run_dir, device, report)
        with (
            threads_of(config.threads), precision.products(), deterministic_algorithms(deterministic), joined(device),
        ):  # fmt: skip
            return make_run().run(origin)
