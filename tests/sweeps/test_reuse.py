"""Composing once gives what Hydra gives."""

from pathlib import Path

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.plugins import Plugins
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, read_write

from sweeps.reuse import ReusingLoader

APP = Path(__file__).parent / "app" / "conf"
OWN = ["++hydra.job.env_set.SWEEPS_TRIAL='3'", "hydra.sweeper.study_name='a b'"]


@pytest.fixture(scope="module")
def loader() -> ConfigLoaderImpl:
    Plugins.instance()
    return ConfigLoaderImpl(config_search_path=create_config_search_path(str(APP)))


@pytest.fixture(scope="module")
def master(loader: ConfigLoaderImpl) -> DictConfig:
    config = loader.load_configuration("config", ["h=1,2"], RunMode.MULTIRUN)
    with read_write(config.hydra):
        config.hydra.overrides.hydra = OWN
    return config


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["h=2"],
        ["h=0.25", "batch=8"],
        ["h=1", "loss=asymmetric"],
        ["loss=asymmetric", "h=2", "clip=ViT-L14@336", "h=3"],
        ["+new=1", "++h=7"],
        ["+nested={a: 1, b: [2, 3]}"],
        ["~C_it"],
        ["loss.offset=5", "loss=lafite"],
        ["hydra.job.chdir=true", "mode='two words'"],
        ["+clip@judge=ViT-B32", "judge.name=x"],
        ["h=null"],
    ],
)
def test_a_job_gets_what_hydra_composes(loader: ConfigLoaderImpl, master: DictConfig, overrides: list[str]) -> None:
    reusing = ReusingLoader(loader.get_search_path())
    reusing.load_sweep_config(master, ["h=99", "loss=asymmetric"])  # must leave no trace
    reusing.load_sweep_config(master, ["h=99"])
    expected = loader.load_sweep_config(master, overrides)
    found = reusing.load_sweep_config(master, overrides)
    assert OmegaConf.to_yaml(found) == OmegaConf.to_yaml(expected)
    assert OmegaConf.is_struct(found) == OmegaConf.is_struct(expected)


def test_groups_of_a_search_path_that_a_command_adds(loader: ConfigLoaderImpl, master: DictConfig) -> None:
    master = master.copy()
    with read_write(master.hydra):
        master.hydra.overrides.hydra = [f"hydra.searchpath=[file://{APP.parents[3] / 'conf'}]"]
    overrides = ["grid=[h,C_it]", "h=3"]
    expected = loader.load_sweep_config(master, overrides)
    found = ReusingLoader(loader.get_search_path()).load_sweep_config(master, overrides)
    assert OmegaConf.to_yaml(found) == OmegaConf.to_yaml(expected)


def test_mistakes_are_hydras(loader: ConfigLoaderImpl, master: DictConfig) -> None:
    for override in ("misspelt=1", "loss=misspelt", "+h=1"):
        with pytest.raises(Exception, match=r".") as expected:
            loader.load_sweep_config(master, [override])
        with pytest.raises(type(expected.value)) as found:
            ReusingLoader(loader.get_search_path()).load_sweep_config(master, [override])
        assert str(found.value) == str(expected.value)
