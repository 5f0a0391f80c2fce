"""The Hydra sweeper: it turns a grid of overrides into a study, and each point into one job."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from sweeps.base.settings import Settings

# Hydra imports every plugin for every command, even `--help`. So functions import Optuna, MLflow and rich themselves.
if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from hydra.plugins.launcher import Launcher

    from sweeps.command.composition import Composition
    from sweeps.command.request import Request
    from sweeps.job.task_function import Job
    from sweeps.workers.leader import Orders

INTERRUPTED = 130  # exit status after Ctrl-C, as in a shell


class StudySweeper(Sweeper):
    """Runs each point of a grid exactly once; the same command continues an interrupted sweep.

    Args:
        settings: the fields of `Settings`, which explains them.
    """

    def __init__(self, **settings: Any) -> None:
        plain: dict[str, Any] = {
            name: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for name, value in settings.items()
        }
        self._given = plain
        self.settings: Settings
        self.config: DictConfig
        self.hydra_context: HydraContext
        self.job: Job
        self.orders: Orders | None  # the leader's orders if this process is a worker
        self._status = 1  # exit status of this process, as far as it is known

    def read(self, given: Mapping[str, Any]) -> Settings:
        """Make the settings from the keys under `hydra.sweeper`."""
        return Settings(**given)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        from clipgan.base.config_store import share_config_store
        from sweeps.job.task_function import Job
        from sweeps.workers.callbacks import give_back_callbacks
        from sweeps.workers.leader import Orders

        share_config_store()  # each job's composition would copy it
        self.settings = self.read(self._given)
        self.orders = Orders.received()
        if self.orders is not None and self.orders.without_callbacks:
            hydra_context = give_back_callbacks(hydra_context, config, self.orders.without_callbacks)
        self.hydra_context = hydra_context
        self.config = config
        self.job = Job(task_function, to_file=self.orders is not None)

    def sweep(self, arguments: list[str]) -> list[Sequence["JobReturn"]]:
        """Run the remaining points and print the study; the storage has their values.

        Returns:
            The results of the jobs that this command has run, in lists of `max_batch_size`.

        Raises:
            SweepError: a setting, an axis or the storage is not allowed.
            SystemExit: status 70 if a trial failed now or no point is complete or pruned, 130 after Ctrl-C, 143 after
                SIGTERM, 75 if a job was preempted or `hydra.sweeper.timeout` was over before all points had run.
        """
        from sweeps.base.signals import Stop, end_with_main_thread, end_with_parent
        from sweeps.command.composition import Composition
        from sweeps.display.summary import new_console
        from sweeps.study.outage import telling_database_errors
        from sweeps.workers.run import SweepRun

        stop, console = Stop(), new_console()
        end_with_main_thread(self.settings.stop_seconds, lambda: self._status)
        try:
            with stop.catching_signals(), telling_database_errors():
                if self.orders is not None:
                    end_with_parent(self.orders.leader["pid"])
                composition = Composition(self.hydra_context, self.config)
                request = self._read(composition, arguments)
                returns = SweepRun(request, self.job.task_function, self._launcher, self.orders, console, stop).work()
            self._status = 0
            return returns
        except SystemExit as end:
            self._status = end.code if isinstance(end.code, int) else 1
            raise
        except KeyboardInterrupt:
            with suppress(OSError):  # the disk with a worker's log may be full
                console.print("stopped; run the same command again to continue")
            self._status = INTERRUPTED
            raise SystemExit(INTERRUPTED) from None

    def _read(self, composition: "Composition", arguments: list[str]) -> "Request":
        from sweeps.command.narrowing import within_wider_study
        from sweeps.command.request import read
        from sweeps.workers.detached import is_detached

        if self.orders is not None:
            return read(self.settings, composition, arguments, check=False, as_axes=self.orders.as_axes)
        return within_wider_study(read(self.settings, composition, arguments, check=not is_detached()), arguments)

    def _launcher(self) -> "Launcher":
        from hydra.core.plugins import Plugins

        from sweeps.workers.detached import is_detached, launcher_here

        make = launcher_here if is_detached() else Plugins.instance().instantiate_launcher
        return make(hydra_context=self.hydra_context, task_function=self.job, config=self.config)
