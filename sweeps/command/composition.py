"""The configuration of a sweep: Hydra parses its overrides, and composes the configuration of each job."""

import copy
import tempfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType, Quote, QuotedString
from hydra.errors import ConfigCompositionException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException

from clipgan.base.composing import given_overrides
from clipgan.base.secrets import hidden, without_passwords
from sweeps.base.errors import SweepError
from sweeps.command.read_axes import read_axes
from sweeps.points.layout import Layout
from sweeps.points.search_space import AnyAxis, job_overrides, key_in, point_at
from sweeps.study.identity import flat

ADDRESSES = ("storage", "mlflow_tracking_uri")  # settings that may hold a password
PLAIN = (OverrideType.CHANGE, OverrideType.FORCE_ADD)  # key=value, ++key=value
HIDDEN = "hidden"  # what a job reads in place of an address with a password


class Composition:
    """The configuration of a sweep, from which Hydra composes that of each job.

    Args:
        hydra_context: Hydra's, which has the loader of configurations.
        config: what Hydra has composed for the sweep; launchers hold the same object, so jobs see what is set here.
    """

    def __init__(self, hydra_context: HydraContext, config: DictConfig) -> None:
        self._loader = hydra_context.config_loader
        self.config = config
        self._hydra_overrides = given_overrides(config.hydra, "hydra")
        self._groups: dict[str, bool] = {}  # key of an override -> whether it is a group
        self._composed: dict[tuple[str, ...], DictConfig] = {}  # overrides -> config
        self._parsed: dict[str, Override] = {}  # by its text

    def parse(
        self, params: Mapping[str, Any], arguments: Sequence[str], as_axes: Collection[str] = ()
    ) -> tuple[Layout, list[str]]:
        """Read the axes and the fixed overrides: see `read_axes`."""
        return read_axes(params, arguments, OverridesParser.create(config_loader=self._loader), as_axes)

    def check_choices(self, layout: Layout, fixed: Sequence[str]) -> None:
        """Compose each choice of a group and one value of each key, so that a misspelt one is refused at once."""
        axes, seen = {axis.name: axis for axis in layout.axes}, set()
        for name, values in layout.examples():
            if name in seen and not self._is_group(name):
                continue
            seen.add(name)
            override = axes[name].override(values[name])
            overrides = job_overrides(layout.axes, fixed, point_at(layout.axes, values).overrides)
            try:
                config = self.composed(tuple(overrides))
            except ConfigCompositionException:  # Hydra 1.4 also refuses what changes the sweep itself
                config = self._loaded(overrides)
                self._check_sweeper(config, axes[name], override)
                raise
            self._check_sweeper(config, axes[name], override)

    def _check_sweeper(self, config: DictConfig, axis: AnyAxis, override: str) -> None:
        """Refuse a choice that changes the sweep itself."""
        for key in ("params", "sampler", "pruner"):
            if config.hydra.sweeper.get(key) != self.config.hydra.sweeper.get(key):
                raise SweepError(
                    f"{override} cannot be swept over: it changes the sweep itself (hydra.sweeper.{key});"
                    f" choose it once, as in {axis.name}=[{','.join(map(str, axis.examples))}]"
                )

    def _is_group(self, axis: str) -> bool:
        group = axis.partition("@")[0]
        if group not in self._groups:
            config_name, overrides = self.config.hydra.job.config_name, list(self._hydra_overrides)
            options = self._loader.get_group_options(group, config_name=config_name, overrides=overrides)
            self._groups[group] = bool(options)
        return self._groups[group]

    def without_axes(self, fixed: Sequence[str]) -> tuple[DictConfig, list[str]]:
        """The configuration with the fixed overrides alone, and those that no configuration without the axes accepts.

        A mandatory group may be missing: an axis fills it. An override may change what only an axis brings, as
        `db.user=me` beside the axis `db=mysql,postgresql`. The configuration is not to be changed.
        """
        with suppress(ConfigCompositionException):  # a job's config with these overrides has the same settings
            return self.composed(tuple(fixed)), []
        try:
            return self._loaded(fixed), []
        except ConfigCompositionException:
            accepted: list[str] = []
            for line in fixed:
                with suppress(ConfigCompositionException):
                    self._loaded([*accepted, line])
                    accepted.append(line)
            return self._loaded(accepted), [line for line in fixed if line not in accepted]

    def _loaded(self, overrides: Sequence[str]) -> DictConfig:
        return self._loader.load_configuration(
            config_name=self.config.hydra.job.config_name,
            overrides=[*self._hydra_overrides, *overrides],
            run_mode=RunMode.MULTIRUN,
        )

    def values_at(self, overrides: Sequence[str], names: Collection[str]) -> tuple[dict[str, Any], list[str]]:
        """What a job's config has under some dotted names, and all the names that it has.

        Args:
            overrides: of the job.
            names: of keys, or of groups, whose value is the option that is chosen.
        """
        config = self._with_values(overrides)
        choices = {str(group): option for group, option in config.hydra.runtime.choices.items()}
        every = [*choices, *flat(OmegaConf.to_container(config, resolve=False))]
        found = {name: choices[name] for name in names if name in choices}
        found |= {name: OmegaConf.select(config, name) for name in names if name in every and name not in found}
        return found, [name for name in every if not name.startswith("hydra")]

    def max_step_at(self, overrides: Sequence[str]) -> int | None:
        """The last step of a job with these overrides; None if nobody knows it."""
        length = self._with_values(overrides).hydra.sweeper.get("max_step")
        return length if isinstance(length, int) else None

    def _with_values(self, overrides: Sequence[str]) -> DictConfig:
        """A job's config without Hydra's notes of its overrides; points that differ in values share a composition."""
        lines, values = self.parted(overrides)
        config = copy.deepcopy(self.composed(lines))
        try:
            for override in values:
                adds = override.type == OverrideType.FORCE_ADD
                OmegaConf.update(config, override.key_or_group, override.value(), force_add=adds)
        except OmegaConfBaseException:  # a misspelt key: Hydra says it better
            return self._loader.load_sweep_config(self.config, list(overrides))
        return config

    def parted(self, overrides: Sequence[str]) -> tuple[tuple[str, ...], list[Override]]:
        """Part a job's overrides into those that need a composition, and plain values of keys."""
        parsed = [self._parse(line) for line in overrides]
        if any(override.is_delete() for override in parsed):  # then the order matters
            return tuple(overrides), []
        values: list[Override] = []
        others: list[str] = []
        for line, override in zip(overrides, parsed, strict=True):
            key = override.key_or_group
            plain = override.type in PLAIN and override.package is None and not self._is_group(key)
            if plain and not key.startswith("hydra."):
                values.append(override)
            else:
                others.append(line)
        return tuple(others), values

    def _parse(self, line: str) -> Override:
        if line not in self._parsed:
            self._parsed[line] = OverridesParser.create().parse_override(line)
        return self._parsed[line]

    def composed(self, overrides: tuple[str, ...]) -> DictConfig:
        """A job's config, composed once for the same overrides; not to be changed."""
        if overrides not in self._composed:
            self._composed[overrides] = self._loader.load_sweep_config(self.config, list(overrides))
        return self._composed[overrides]

    @property
    def sweep_dir(self) -> Path:
        """The folder of the sweep."""
        return Path(str(self.config.hydra.sweep.dir))

    @property
    def has_time_in_its_folder(self) -> bool:
        """Whether `hydra.sweep.dir` depends on the time, as Hydra's default does: `multirun/${now:...}`."""
        kept = OmegaConf.get_cache(self.config)  # a resolver that depends on the time keeps its result there
        OmegaConf.clear_cache(self.config)
        try:
            _ = self.config.hydra.sweep.dir
            return bool(OmegaConf.get_cache(self.config).get("now"))
        finally:
            OmegaConf.set_cache(self.config, kept)

    def name_study(self, study: str) -> None:
        """Set the study's name, which `hydra.sweep.dir` may contain."""
        with read_write(self.config.hydra):
            self.config.hydra.sweeper.study_name = study

    def make_folder(self) -> None:
        """Make the folder of the sweep, and check that it can be written.

        Raises:
            SweepError: it cannot.
        """
        folder = self.sweep_dir
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise SweepError(
                f"hydra.sweep.dir={folder} cannot be written ({error.strerror}); give another with hydra.sweep.dir=DIR"
            ) from error

    def save(self) -> None:
        """Write the configuration of the sweep into its folder, as Hydra's own sweeper does."""
        self._hide_passwords()
        with read_write(self.config.hydra):
            self.config.hydra.overrides.hydra = self._hydra_overrides
        written = hidden(OmegaConf.to_container(self.config, resolve=False))  # a YAML file may hold a password
        OmegaConf.save(OmegaConf.create(written), self.sweep_dir / "multirun.yaml")

    def move_to(self, folder: str) -> None:
        """Let the jobs that follow run in another folder."""
        self._hydra_overrides.append(f"hydra.sweep.dir={_quoted(folder)}")
        with read_write(self.config.hydra):
            self.config.hydra.sweep.dir = folder

    def tell_next_job(self, study: str, variables: Mapping[str, str]) -> None:
        """Give the next job its study's name (for its directory) and its environment.

        A launcher composes a job's config from this list of Hydra's own overrides and the overrides that it is handed;
        what stands here stays out of the latter, and so out of the job's `overrides.yaml` and of the launcher's lines.
        """
        self._hide_passwords()
        own = [f"hydra.sweeper.study_name={_quoted(study)}"]
        own += [f"++hydra.job.env_set.{name}={_quoted(value)}" for name, value in variables.items()]
        with read_write(self.config.hydra):
            self.config.hydra.sweeper.study_name = study  # Hydra 1.4 wants each job's sweeper to be that of the sweep
            self.config.hydra.overrides.hydra = [*self._hydra_overrides, *own]

    def _hide_passwords(self) -> None:
        """Keep the passwords of the storage and of MLflow's server out of each job's `hydra.yaml`."""
        sweeper = self.config.hydra.sweeper
        for name in ADDRESSES:
            if sweeper[name] in (None, HIDDEN) or without_passwords(sweeper[name]) == sweeper[name]:
                continue
            key = f"hydra.sweeper.{name}"
            given = [line for line in self._hydra_overrides if key_in(line) != key]
            self._hydra_overrides = [*given, f"{key}={HIDDEN}"]
            with read_write(self.config.hydra):
                sweeper[name] = HIDDEN


def _quoted(text: str) -> str:
    """A value that Hydra's grammar reads back as this text."""
    return QuotedString(text=text, quote=Quote.single).with_quotes()
