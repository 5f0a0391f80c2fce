"""How often Hydra composes a configuration for a command, and what it copies each time."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from clipgan.base.secrets import without_passwords
from sweeps.base.settings import Settings
from sweeps.command.composition import Composition
from sweeps.command.request import read
from sweeps.study.identity import flat
from sweeps.sweeper import StudySweeper
from tests.sweeps.sweep_app import APP

CALLBACKS: Any = None


@pytest.fixture
def loader() -> Iterator[ConfigLoader]:
    """Hydra's for the app."""
    with initialize_config_dir(str(APP.parent / "conf"), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


def load(loader: ConfigLoader, *overrides: str) -> DictConfig:
    return loader.load_configuration("config", list(overrides), run_mode=RunMode.MULTIRUN)


def of_the_task(config: DictConfig) -> dict[str, Any]:
    plain = flat(OmegaConf.to_container(config, resolve=False))
    return {key: value for key, value in plain.items() if not key.startswith("hydra")}


@pytest.mark.parametrize(
    ("words", "fixed", "n"),
    [
        (["h=1,2", "batch=8"], ["batch=8"], 2),  # the settings alone, and the first value
        (["loss=symmetric,asymmetric"], [], 3),  # the settings alone, and each choice
    ],
)
def test_a_command_composes_nothing_twice(
    loader: ConfigLoader, monkeypatch: pytest.MonkeyPatch, words: list[str], fixed: list[str], n: int
) -> None:
    composition, counted = Composition(HydraContext(loader, CALLBACKS), load(loader, *words)), 0
    alone = of_the_task(load(loader, *fixed))
    load_configuration = loader._load_configuration_impl  # of a sweep's own configuration and of each job's

    def counting(*arguments: Any, **named: Any) -> DictConfig:
        nonlocal counted
        counted += 1
        return load_configuration(*arguments, **named)

    monkeypatch.setattr(loader, "_load_configuration_impl", counting)
    read(Settings(), composition, words, check=True)
    config, unset = composition.without_axes(fixed)
    assert (counted, of_the_task(config), unset) == (n, alone, [])


@pytest.mark.parametrize("name", ["storage", "mlflow_tracking_uri"])
def test_no_job_reads_a_password(loader: ConfigLoader, tmp_path: Path, name: str) -> None:
    address = "postgresql://u:plugh 42@h/d"
    config = load(loader, "h=1,2", f"hydra.sweeper.{name}='{address}'", f"hydra.sweep.dir={tmp_path}")
    assert config.hydra.sweeper[name] == address
    settings = Settings(**{name: address})
    composition = read(
        settings, Composition(HydraContext(loader, CALLBACKS), config), ["h=1,2"], check=True
    ).composition
    composition.tell_next_job("s", {})
    composition.save()
    job = load(loader, *config.hydra.overrides.hydra)  # as a launcher composes it
    assert (job.hydra.sweeper[name], config.hydra.sweeper[name]) == ("hidden", "hidden")
    assert "plugh" not in OmegaConf.to_yaml(config) + (tmp_path / "multirun.yaml").read_text()
    if name == "mlflow_tracking_uri":  # the storage's is remembered where it is opened
        assert without_passwords(f"cannot reach {address}") == "cannot reach postgresql://u:***@h/d"


def test_a_sweep_shares_one_store_of_configs(loader: ConfigLoader, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ConfigStore.instance()
    monkeypatch.setattr(store, "repo", dict(store.repo))  # pytest's process keeps its own
    StudySweeper().setup(
        hydra_context=HydraContext(loader, CALLBACKS), task_function=lambda config: 0.0, config=load(loader, "h=1,2")
    )
    assert copy.deepcopy(store).repo is store.repo
    loader.load_configuration("config", [], run_mode=RunMode.RUN).hydra.sweeper.threads = 7
    assert loader.load_configuration("config", [], run_mode=RunMode.RUN).hydra.sweeper.threads == 1
