"""Train: choose the task of a configuration, and launch it."""

from pathlib import Path

from clipgan.config import Config
from clipgan.engine.result import Report, Result
from clipgan.engine.start_run import PrepareRun, launch
from clipgan.tracking.run_description import Origin


def train(config: Config, run_dir: Path, report: Report | None = None, origin: Origin | None = None) -> Result:
    """Run one training; resume from its last checkpoint if there is one.

    Args:
        config: the run; its task is a GAN if `config.simclr` is null.
        run_dir: where its files go; made if missing.
        report: called with the objective at each snapshot, so that a sweep can watch the run and end it there.
        origin: the command or the sweep that started the run; MLflow shows it.

    Raises:
        UserError: data, weights or a checkpoint are missing or do not fit.
        DivergenceError: a loss is no longer finite.
        Interrupted: SIGTERM or SIGINT came, and the run wrote a checkpoint.
    """
    return launch(config, run_dir, _task(config), report, origin or Origin())


def _task(config: Config) -> PrepareRun:
    """Import the preparation of the chosen task, and not the other task."""
    if config.simclr is None:
        from clipgan.tasks.gan import training

        return training.prepare_run
    from clipgan.tasks.simclr import pretraining

    return pretraining.prepare_run
