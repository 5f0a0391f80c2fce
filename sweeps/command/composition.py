"""The configuration of a sweep: Hydra parses its overrides, and composes the configuration of each job."""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, read_write

from sweeps.base.errors import SweepError
from sweeps.points.search_space import axes_and_fixed
from sweeps.study.identity import flat

if TYPE_CHECKING:
    from sweeps.points.search_space import AnyAxis

STORAGE_KEY = "hydra.sweeper.storage"


class Composition:
    """The configuration of a sweep, from which Hydra composes that of each job.

    Args:
        hydra_context: Hydra's, which has the loader of configurations.
        config: what Hydra has composed for the sweep; launchers hold the same object, so jobs see what is set here.
    """

    def __init__(self, hydra_context: HydraContext, config: DictConfig) -> None:
        self._loader = hydra_context.config_loader
        self._config = config
        self._hydra_overrides = list(config.hydra.overrides.hydra)

    def parse(self, params: Mapping[str, Any], arguments: Sequence[str]) -> "tuple[list[AnyAxis], list[str]]":
        """The axes and the fixed overrides. For one key the command line replaces the config."""
        parser = OverridesParser.create(config_loader=self._loader)
        lines = [f"{axis}={values}" for axis, values in params.items()]
        return axes_and_fixed(parser.parse_overrides([*lines, *arguments]))

    def check_choices(self, axes: "Sequence[AnyAxis]", fixed: Sequence[str]) -> None:
        """Compose each choice of a group and one value of each key, so that a misspelt one is refused at once."""
        first = {axis.name: axis.override(axis.examples[0]) for axis in axes}
        for axis in axes:
            for value in axis.examples if self._is_group(axis.name) else axis.examples[:1]:
                override = axis.override(value)
                overrides = [*fixed, *{**first, axis.name: override}.values()]
                config = self._loader.load_sweep_config(self._config, overrides)
                for key in ("params", "sampler", "pruner"):
                    if config.hydra.sweeper.get(key) == self._config.hydra.sweeper.get(key):
                        continue
                    raise SweepError(
                        f"{override} cannot be swept over: it changes the sweep itself (hydra.sweeper.{key});"
                        f" choose it once, as in {axis.name}=[{','.join(map(str, axis.examples))}]"
                    )

    def _is_group(self, axis: str) -> bool:
        config_name, group = self._config.hydra.job.config_name, axis.partition("@")[0]
        return bool(
            self._loader.get_group_options(group, config_name=config_name, overrides=list(self._hydra_overrides))
        )

    def without_axes(self, fixed: Sequence[str]) -> DictConfig:
        """The configuration with the fixed overrides alone. A mandatory group may be missing: an axis fills it."""
        return self._loader.load_configuration(
            config_name=self._config.hydra.job.config_name,
            overrides=[*self._hydra_overrides, *fixed],
            run_mode=RunMode.MULTIRUN,
        )

    def values_at(self, overrides: Sequence[str], names: Collection[str]) -> tuple[dict[str, Any], list[str]]:
        """What a job's config has under some dotted names, and all the names that it has.

        Args:
            overrides: of the job.
            names: of keys, or of groups, whose value is the option that is chosen.
        """
        config = self._loader.load_sweep_config(self._config, list(overrides))
        choices = {str(group): option for group, option in config.hydra.runtime.choices.items()}
        every = [*choices, *flat(OmegaConf.to_container(config, resolve=False))]
        found = {name: choices[name] for name in names if name in choices}
        found |= {name: OmegaConf.select(config, name) for name in names if name in every and name not in found}
        return found, [name for name in every if not name.startswith("hydra")]

    @property
    def sweep_dir(self) -> Path:
        """The folder of the sweep."""
        return Path(str(self._config.hydra.sweep.dir))

    def name_study(self, study: str) -> None:
        """Set the study's name, which `hydra.sweep.dir` contains, and check that this folder can be written.

        Raises:
            SweepError: it cannot.
        """
        with read_write(self._config.hydra):
            self._config.hydra.sweeper.study_name = study
        folder = self.sweep_dir
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise SweepError(
                f"hydra.sweep.dir={folder} cannot be written ({error.strerror}); give another with hydra.sweep.dir=DIR"
            ) from error

    def move_to(self, folder: str) -> None:
        """Let the jobs that follow run in another folder."""
        self._hydra_overrides.append(f"hydra.sweep.dir={_quoted(folder)}")
        with read_write(self._config.hydra):
            self._config.hydra.sweep.dir = folder

    def tell_next_job(self, study: str, variables: Mapping[str, str]) -> None:
        """Give the next job its study's name (for its directory) and its environment.

        A launcher composes a job's config from this list of Hydra's own overrides and the overrides that it is handed;
        what stands here stays out of the latter, and so out of the job's `overrides.yaml` and of the launcher's lines.
        """
        from sweeps.study.storage import has_password

        given = self._hydra_overrides
        own = [f"hydra.sweeper.study_name={_quoted(study)}"]
        if has_password(self._config.hydra.sweeper.storage):  # it must not get into the job's `hydra.yaml`
            given = [line for line in given if line.partition("=")[0].lstrip("+") != STORAGE_KEY]
            own.append(f"{STORAGE_KEY}=hidden")
        own += [f"++hydra.job.env_set.{name}={_quoted(value)}" for name, value in variables.items()]
        with read_write(self._config.hydra):
            self._config.hydra.overrides.hydra = [*given, *own]


def _quoted(text: str) -> str:
    """A value that Hydra's grammar reads back as this text."""
    return QuotedString(text=text, quote=Quote.single).with_quotes()
