"""The keys that change no metric: one list for the resume check and for the identity of a sweep."""

import pytest
from hydra import compose, initialize_config_dir

from clipgan.config import Config
from clipgan.config.command_line import register_resolvers
from clipgan.config.identity import CHANGE_NO_METRIC, CHANGE_WHEN_RESUMED, FOR_GANS_ONLY, is_listed
from clipgan.config.meanings import meanings
from tests.helpers import ROOT


@pytest.mark.parametrize("key", [*CHANGE_NO_METRIC, *CHANGE_WHEN_RESUMED, *FOR_GANS_ONLY])
def test_every_listed_key_is_one(key):
    assert key in meanings(Config) or key in ("budget", "clip@metrics.judge")


def test_no_key_is_in_two_lists_that_exclude_each_other():
    assert not set(CHANGE_NO_METRIC) & set(CHANGE_WHEN_RESUMED)


def test_a_section_and_a_group_name_all_below_them():
    assert is_listed("mlflow.experiment", CHANGE_NO_METRIC)
    assert is_listed("clip@metrics.judge", ["clip@metrics.judge"])
    assert is_listed("resnet@x", ["resnet"])
    assert not is_listed("mlflow_like", CHANGE_NO_METRIC)
    assert not is_listed("metrics", ["metrics.kid"])


@pytest.mark.parametrize("task", ["gan", "simclr"])
def test_a_sweep_leaves_them_out_of_its_identity(task):
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        node = compose("config", overrides=[f"task={task}"], return_hydra_config=True)
    ignored = list(node.hydra.sweeper.not_identity)
    assert ignored == [*CHANGE_NO_METRIC, *(FOR_GANS_ONLY if task == "simclr" else ())]
    lengths = {"kimg", "seconds", "snapshot_kimg"} if task == "simclr" else set()
    assert {key for key in CHANGE_WHEN_RESUMED if is_listed(key, ignored)} - {"metrics.returns"} == lengths
