"""`sampler=tpe` and `pruner=median` are clipgan's short names for the options of the sweeper's own groups."""

from dataclasses import asdict

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from clipgan.base.composing import version_base
from sweeps.base.samplers_and_pruners import PRUNERS, SAMPLERS
from tests.helpers import ROOT

GROUPS = {"pruner": PRUNERS, "sampler": SAMPLERS}


@pytest.mark.parametrize("group", GROUPS)
def test_each_option_has_a_short_name(group):
    assert {path.stem for path in (ROOT / "conf" / group).iterdir()} == set(GROUPS[group])


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in GROUPS for name in GROUPS[group]])
def test_a_short_name_chooses_its_option(group, name):
    with initialize_config_dir(str(ROOT / "conf"), **version_base()):
        node = compose("config", overrides=[f"{group}={name}"], return_hydra_config=True)
    assert OmegaConf.to_container(node.hydra.sweeper[group]) == asdict(GROUPS[group][name]())


def test_the_long_name_and_an_option_of_an_option():
    overrides = ["hydra/sweeper/study/pruner=median", "hydra.sweeper.pruner.n_startup_trials=9"]
    with initialize_config_dir(str(ROOT / "conf"), **version_base()):
        node = compose("config", overrides=overrides, return_hydra_config=True)
    assert node.hydra.sweeper.pruner == asdict(PRUNERS["median"](n_startup_trials=9))
