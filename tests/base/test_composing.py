"""Composing inside another Hydra application: it works, and the application finds its own state."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.version import getbase

from clipgan.base.composing import version_base
from clipgan.base.installed import conf
from clipgan.config.command_line import compose_config, register_resolvers, with_overrides
from sweeps.command.request import read_outside_hydra
from tests.helpers import ROOT

APP = """
import hydra
from hydra.core.hydra_config import HydraConfig
from clipgan.api import train
from clipgan.base.errors import UserError

@hydra.main(config_path="conf", config_name="mine", **{base})
def main(cfg):
    try:
        train(["h=-1"])
    except UserError as error:
        print(cfg.mine, error)
    print(HydraConfig.get().job.name)

main()
"""


def test_another_application_finds_its_own_state(tmp_path):
    (tmp_path / "mine.yaml").write_text("mine: 1\n")
    base = {"version_base": "1.2"} if version_base() else {}
    register_resolvers()
    with initialize_config_dir(str(tmp_path), job_name="outer", **base):
        before, outer = getbase(), GlobalHydra.instance()
        assert compose_config(["h=2", "loss=asymmetric"]).h == 2
        assert with_overrides(compose_config([]), ["loss=asymmetric"]).loss.name == "asymmetric"
        assert [axis.name for axis in read_outside_hydra(conf(), "config", ["h=1,2"]).axes] == ["h"]
        assert (getbase(), GlobalHydra.instance()) == (before, outer)
        own = compose("mine", return_hydra_config=True)
        assert (own.mine, own.hydra.job.name) == (1, "outer")
    assert not GlobalHydra.instance().is_initialized()


def test_a_sweep_that_is_read_outside_of_hydra_keeps_references_as_they_are_written():
    register_resolvers()
    assert read_outside_hydra(conf(), "config", ["C_it=${h}", "h=1,2"]).fixed == ["C_it=${h}"]


def test_a_function_of_another_application_trains_also_in_its_sweep(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "mine.yaml").write_text("mine: 1\n")
    app = tmp_path / "mine_app.py"
    app.write_text(APP.replace("{base}", str(version_base())))
    run = [sys.executable, str(app), "-m", "mine=1,2"]
    env = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(run, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    said = [line for line in done.stdout.splitlines() if not line.startswith("[")]
    refused = "h=-1.0 is not allowed: h must be a finite number >= 0"
    assert said == [f"1 {refused}", "mine_app", f"2 {refused}", "mine_app"], done.stderr


def test_threads_compose_one_after_the_other_and_leave_nothing_behind(tmp_path):
    (tmp_path / "mine.yaml").write_text("mine: 1\n")
    register_resolvers()
    with ThreadPoolExecutor(2) as threads:
        assert [config.h for config in threads.map(lambda h: compose_config([f"h={h}"]), (1, 2, 3, 4))] == [1, 2, 3, 4]
    with initialize_config_dir(str(tmp_path), **version_base()):
        assert compose("mine").mine == 1
