"""Hydra's composition, done once for each choice of groups: of the jobs of a sweep, most differ in values alone."""

import copy
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf, open_dict, read_write


class ReusingLoader(ConfigLoaderImpl):
    """Composes a job's config as Hydra does, but reads files and merges groups only where a group differs.

    Values that override keys are applied last in Hydra too, and no choice of a group depends on them.

    Args:
        search_path: that of Hydra's own loader.
    """

    def __init__(self, search_path: ConfigSearchPath) -> None:
        super().__init__(search_path)
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self._is_group: dict[str, bool] = {}

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """What a job is to be handed.

        Args:
            master_config: that of the sweep.
            sweep_overrides: the job's own, after Hydra's that stand in `master_config`.
        """
        lines = [*master_config.hydra.overrides.hydra, *sweep_overrides]
        overrides = OverridesParser.create().parse_overrides(lines)
        values: list[Override] = []
        groups: tuple[str, ...] = ()
        for override in overrides:
            if self._sets_a_value(override, master_config):
                values.append(override)
            else:
                groups = (*groups, str(override.input_line))
        if groups not in self._composed:
            self._composed[groups] = super().load_sweep_config(_without_overrides(master_config), list(groups))
        config = copy.deepcopy(self._composed[groups])
        self._apply_overrides_to_config(values, config)
        _note(overrides, config)
        OmegaConf.copy_cache(from_config=master_config, to_config=config)
        return config

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_composed": {}}  # a launcher may take it to another process

    def _sets_a_value(self, override: Override, master_config: DictConfig) -> bool:
        """Whether it chooses no group and says nothing about where groups are."""
        key = override.key_or_group
        if override.package is not None or override.type == OverrideType.DEL or key == "hydra.searchpath":
            return False
        if key not in self._is_group:
            hydra = master_config.hydra
            _, repository = self._parse_overrides_and_create_caching_repo(
                hydra.job.config_name, list(hydra.overrides.hydra)
            )
            self._is_group[key] = repository.group_exists(key)
        return not self._is_group[key]


def _without_overrides(config: DictConfig) -> DictConfig:
    bare = copy.deepcopy(config)
    with read_write(bare.hydra):
        bare.hydra.overrides.hydra = []
    return bare


def _note(overrides: list[Override], config: DictConfig) -> None:
    """Write down in the config what it was composed from, as Hydra does."""
    tasks = [override for override in overrides if not override.is_hydra_override()]
    with open_dict(config.hydra):
        config.hydra.overrides.hydra = [o.input_line for o in overrides if o.is_hydra_override()]
        config.hydra.overrides.task = [override.input_line for override in tasks]
        dirname = config.hydra.job.config.override_dirname
        config.hydra.job.override_dirname = get_overrides_dirname(
            overrides=tasks,
            kv_sep=dirname.kv_sep,
            item_sep=dirname.item_sep,
            exclude_keys=dirname.exclude_keys,
        )
