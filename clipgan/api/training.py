"""`train`: one training."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from clipgan.api.callers_state import alone, callers_state_kept
from clipgan.api.checks import refuse_no_list
from clipgan.config import Config

if TYPE_CHECKING:  # they import torch
    from clipgan.engine.result import Report, Result
    from clipgan.tracking.run_description import Origin

RUNS = "runs/single"  # parent of the run directories that have no other place


def train(
    config: Config | Sequence[str] = (),
    run_dir: Path | str | None = None,
    report: "Report | None" = None,
    origin: "Origin | None" = None,
) -> "Result":
    """Run one training; resume from its last checkpoint if its run directory has one.

    In a script, a call with `processes=N` must stand below `if __name__ == "__main__":`, because each
    process imports the script.

    Calls from several threads follow one another: the settings of PyTorch are those of the process.

    In MLflow, the training is a run of its own, in the experiment `mlflow.experiment` (`clipgan`). It follows
    `mlflow.set_tracking_uri`, but neither `mlflow.set_experiment` nor an active `mlflow.start_run`. To put it below a
    run of yours, name this run and its experiment:

        train(["h=1", "mlflow.experiment=mine"], origin=Origin(parent_run_id=run.info.run_id))

    Args:
        config: overrides as on the command line (`["h=1", "kimg=2"]`), or a whole configuration. For Hydra's
            --config-dir DIR, write `hydra.searchpath=[file://DIR]`.
        run_dir: where its files go; made if missing. None: a new folder in runs/single.
        report: called with (objective, units done) at each snapshot, also before the first step. The training ends
            there if it returns True, except before the first step. What it changes in the environment or at the root
            logger is undone at the end. It may call `train` and `evaluate`, but not wait for another thread that
            does so: that thread waits for this training.
        origin: the MLflow run to put this one below (`clipgan.api.Origin`). Overrides are its command; only for a whole
            configuration the command of `origin` counts.

    Returns:
        The objective at the end (`objective`), the last checkpoint (`checkpoint`), the directory (`run_dir`), and the
        speed (`sec_per_unit`, seconds per kimg).

    Raises:
        UserError: a key, an option or a value is not allowed, or data, weights or a checkpoint are missing or do not
            fit; or another process of the training ended early, also because it called `train` itself.
        DivergenceError: a loss is no longer finite.
        Interrupted: SIGTERM or SIGINT came, and the run wrote a checkpoint.
    """
    if not isinstance(config, Config):
        refuse_no_list("config", config, '["h=1", "kimg=2"]')
    folder = Path(run_dir or Path(RUNS) / datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f"))
    if not isinstance(config, Config):
        from clipgan.config.command_line import compose_config
        from clipgan.config.user_command import UserCommand
        from clipgan.tracking.run_description import Origin

        origin = replace(origin or Origin(), command=UserCommand(tuple(config), run_dir=folder.absolute()))
        config = compose_config(config)
    with alone(), callers_state_kept():
        from clipgan.engine.start_processes import further_processes, spread
        from clipgan.tasks.train import train as train_here

        config = spread(config)
        with further_processes(config, folder, train_here):
            return train_here(config, folder, report=report, origin=origin)
