"""The Hydra sweeper: a grid of overrides becomes a study, and each of its points one job."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, read_write

from sweeps.errors import SweepError

# Hydra imports every plugin for every command, `--help` included: Optuna, MLflow and rich are imported inside.
if TYPE_CHECKING:
    from sweeps.mlflow_parent import ParentRun
    from sweeps.outcome import Outcome
    from sweeps.search_space import Axis, Point, Space
    from sweeps.study import Claim, SweepStudy

INTERRUPTED = 130  # exit status after Ctrl-C, as in a shell
STORAGE_KEY = "hydra.sweeper.storage"
DIRECTIONS = ("minimize", "maximize")


class StudySweeper(Sweeper):
    """Runs each point of a grid exactly once, and finishes tomorrow what was interrupted today.

    Its fields are those of `StudySweeperConf`, where each is explained.
    """

    def __init__(
        self,
        *,
        direction: str,
        step_name: str,
        storage: str,
        study_name: str | None,
        not_identity: Sequence[str],
        retry_failed: bool,
        params: Mapping[str, Any],
        mlflow_tracking_uri: str | None,
        mlflow_experiment: str | None,
    ) -> None:
        self.direction = direction
        self.step_name = step_name
        self.storage = storage
        self.study_name = study_name
        self.not_identity = list(not_identity)
        self.retry_failed = retry_failed
        self.params = dict(params)
        self.mlflow_tracking_uri = mlflow_tracking_uri
        self.mlflow_experiment = mlflow_experiment
        self.config: DictConfig
        self.hydra_context: HydraContext
        self.launcher: Launcher

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        from hydra.core.plugins import Plugins

        self.hydra_context = hydra_context
        self.config = config
        self._hydra_overrides = list(config.hydra.overrides.hydra)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the points that are left and print the study; their values are in the storage.

        Raises:
            SweepError: a setting, an axis or the storage is not allowed.
            SystemExit: status 1 if a trial failed now or no point is complete, 130 after Ctrl-C.
        """
        from sweeps.search_space import points, space_of
        from sweeps.table import new_console

        self._check_settings()
        self.say = new_console().print
        axes, fixed = self._parse(arguments)
        self._check_choices(axes, fixed)
        study = self._open_study(axes, fixed)
        with read_write(self.config.hydra):
            self.config.hydra.sweeper.study_name = study.family  # which `hydra.sweep.dir` may name
        self._check_folder()
        grid = points(axes)
        study.enqueue(grid, space_of(axes), self.retry_failed)
        parent = self._open_parent(study, space_of(axes))
        with _environment(study.url):
            try:
                n_run, n_failed = self._work(study, grid, fixed, parent)
            except (KeyboardInterrupt, SystemExit) as stop:
                self._close_parent(parent, study, "KILLED")
                raise SystemExit(INTERRUPTED if isinstance(stop, KeyboardInterrupt) else stop.code) from None
        self._summarise(study, len(grid), n_run)
        n_complete = sum(record.state == "COMPLETE" for record in study.records(grid))
        succeeded = n_failed == 0 and n_complete > 0
        self._close_parent(parent, study, "FINISHED" if succeeded else "FAILED")
        if not succeeded:
            raise SystemExit(1)

    def _check_settings(self) -> None:
        if self.direction not in DIRECTIONS:
            allowed = " or ".join(DIRECTIONS)
            raise SweepError(f"hydra.sweeper.direction={self.direction} is not allowed: it must be {allowed}")

    def _check_folder(self) -> None:
        """Find out before a point is queued whether the jobs' folder can be written."""
        import tempfile
        from pathlib import Path

        folder = Path(str(self.config.hydra.sweep.dir))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise SweepError(
                f"hydra.sweep.dir={folder} cannot be written ({error.strerror}); give another with hydra.sweep.dir=DIR"
            ) from error

    def _parse(self, arguments: Sequence[str]) -> "tuple[list[Axis], list[str]]":
        """The axes and the fixed overrides; the command line comes after the config's axes, and so replaces them."""
        from hydra.core.override_parser.overrides_parser import OverridesParser

        from sweeps.search_space import axes_and_fixed

        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        lines = [f"{axis}={values}" for axis, values in self.params.items()]
        return axes_and_fixed(parser.parse_overrides([*lines, *arguments]))

    def _check_choices(self, axes: "Sequence[Axis]", fixed: Sequence[str]) -> None:
        """Compose each choice once, so that a misspelt one is reported before the first job runs."""
        first = {axis.name: f"{axis.key}={axis.choices[0].spelling}" for axis in axes}
        for axis in axes:
            for choice in axis.choices:
                override = f"{axis.key}={choice.spelling}"
                config = self._compose([*fixed, *{**first, axis.name: override}.values()])
                if config.hydra.sweeper.params != self.config.hydra.sweeper.params:
                    raise SweepError(
                        f"{override} cannot be swept over: it changes the sweep itself (hydra.sweeper.params);"
                        f" choose it once, as in {axis.name}=[{','.join(c.spelling for c in axis.choices)}]"
                    )

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        return self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))

    def _open_study(self, axes: "Sequence[Axis]", fixed: Sequence[str]) -> "SweepStudy":
        """The study of this command, made if it is new."""
        from sweeps.identity import derived_name, identity_of
        from sweeps.study import SweepStudy

        # not `_compose`: a mandatory group that an axis fills is missing here
        config = self.hydra_context.config_loader.load_configuration(
            config_name=self.config.hydra.job.config_name,
            overrides=[*self._hydra_overrides, *fixed],
            run_mode=RunMode.MULTIRUN,
        )
        identity = identity_of(config, [axis.name for axis in axes], self.not_identity)
        name = self.study_name or derived_name(identity)
        return SweepStudy(self.storage, name, self.direction, identity, self.say)

    def _work(
        self, study: "SweepStudy", grid: "Sequence[Point]", fixed: Sequence[str], parent: "ParentRun | None"
    ) -> tuple[int, int]:
        """Claim, run, tell, until no point of the grid waits. Returns how many trials ran and how many failed."""
        n_run = n_failed = 0
        while (claim := study.claim(grid)) is not None:
            label = f"trial {grid.index(claim.point) + 1} of {len(grid)}  {claim.point}"
            self.say(f"{label}  started")
            start = time.monotonic()
            try:
                outcome = self._run(study, claim, fixed, parent)
            except (KeyboardInterrupt, SystemExit) as stop:
                study.give_back(claim)
                self.say(f"{label}  stopped by {type(stop).__name__}: it waits again, and the same command goes on")
                raise
            seconds = f"in {time.monotonic() - start:.0f} s"
            n_run += 1
            if outcome.value is not None:
                study.complete(claim, outcome.value, outcome.run_dir)
                self.say(f"{label}  COMPLETE {outcome.value:.6g} {seconds}")
            else:
                n_failed += 1
                study.fail(claim, str(outcome.reason), outcome.run_dir)
                self.say(f"{label}  FAIL {outcome.reason} {seconds}")
        return n_run, n_failed

    def _run(self, study: "SweepStudy", claim: "Claim", fixed: Sequence[str], parent: "ParentRun | None") -> "Outcome":
        from sweeps.outcome import Outcome, outcome_of, reason_of
        from sweeps.trial import job_environment

        run_id = None if parent is None else parent.run_id
        self._tell_jobs(study, job_environment(study.name, claim.number, run_id))
        try:
            [job] = self.launcher.launch([[*fixed, *claim.point.overrides]], initial_job_idx=claim.run)
        except Exception as error:  # the job could not even start: this point's failure, not the sweep's
            return Outcome(None, reason_of(error), None)
        return outcome_of(job)

    def _tell_jobs(self, study: "SweepStudy", variables: Mapping[str, str]) -> None:
        """Give the next job its study's name (for its directory) and its environment.

        A launcher composes a job's config from this list of Hydra's own overrides and the overrides that it is handed;
        what stands here stays out of the latter, and so out of the job's `overrides.yaml` and of the launcher's lines.
        """
        from sweeps.storage import has_password

        given = self._hydra_overrides
        own = [f"hydra.sweeper.study_name={_quoted(study.family)}"]
        if has_password(self.storage):  # it must not get into the job's `hydra.yaml`
            given = [line for line in given if line.partition("=")[0].lstrip("+") != STORAGE_KEY]
            own.append(f"{STORAGE_KEY}=hidden")
        own += [f"++hydra.job.env_set.{name}={_quoted(value)}" for name, value in variables.items()]
        with read_write(self.config.hydra):
            self.config.hydra.overrides.hydra = [*given, *own]

    def _summarise(self, study: "SweepStudy", n_points: int, n_run: int) -> None:
        from sweeps.table import new_console, print_summary

        print_summary(
            new_console(),
            study.records(),
            direction=self.direction,
            step_name=self.step_name,
            study=study.name,
            n_points=n_points,
            n_run=n_run,
            n_superseded=study.n_superseded,
        )

    def _open_parent(self, study: "SweepStudy", space: "Space") -> "ParentRun | None":
        uri, experiment = self.mlflow_tracking_uri, self.mlflow_experiment
        if uri is None or experiment is None:
            return None
        from sweeps.mlflow_parent import open_parent, or_warn

        return or_warn(lambda: open_parent(uri, experiment, study, space), self.say)

    def _close_parent(self, parent: "ParentRun | None", study: "SweepStudy", status: str) -> None:
        if parent is None:
            return
        from sweeps.mlflow_parent import or_warn
        from sweeps.table import best

        records = study.records()
        leader = best(records, self.direction)
        states = Counter(record.state for record in records)
        value = None if leader is None else leader.value
        or_warn(lambda: parent.finish(status, value, states["COMPLETE"], states["FAIL"]), self.say)


@contextmanager
def _environment(storage: str) -> Iterator[None]:
    """Make the storage known to the jobs of this process and its children, and to no file."""
    from sweeps.trial import STORAGE

    before = os.environ.get(STORAGE)
    os.environ[STORAGE] = storage
    try:
        yield
    finally:
        os.environ.pop(STORAGE) if before is None else os.environ.update({STORAGE: before})


def _quoted(text: str) -> str:
    """A value that Hydra's grammar reads back as this text."""
    return QuotedString(text=text, quote=Quote.single).with_quotes()
