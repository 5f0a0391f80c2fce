"""What was written for Hydra's own Optuna plug-in runs with another name of the sweeper."""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from hydra.errors import HydraException

from sweeps.base.errors import FAILED, SweepError
from sweeps.base.optuna_plugin import PLUGIN_SAMPLERS, OptunaPluginSettings, settings_from_plugin
from sweeps.base.samplers_and_pruners import instance
from sweeps.command.request import read_outside_hydra
from sweeps.report.reading import read
from sweeps.study.storage import open_storage
from tests import warm
from tests.helpers import ROOT

APP = Path(__file__).parent / "optuna_plugin" / "app.py"


def run(folder: Path, *arguments: str, status: int = 0) -> str:
    command = [sys.executable, str(APP), *arguments, "hydra.sweep.dir=out", "hydra.sweep.subdir=${hydra.job.num}"]
    done = warm.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def results(folder: Path) -> Any:
    return yaml.safe_load((folder / "out" / "optimization_results.yaml").read_text())


def trials(folder: Path, name: str | None = None) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=name, storage=open_storage(f"sqlite:///{folder}/sweeps.db")).trials


@pytest.mark.slow
def test_sphere(tmp_path: Path) -> None:
    run(tmp_path, "-m")
    found = trials(tmp_path, "sphere")
    assert len(found) == 6
    best = min(found, key=lambda trial: trial.value or 0.0)
    assert results(tmp_path) == {"name": "optuna", "best_params": best.params, "best_value": best.value}
    assert (tmp_path / "out" / "multirun.yaml").exists()
    grid = ("-m", "hydra/sweeper/sampler=grid")
    run(tmp_path, *grid, "x=choice(1,2)", "y=choice(-5,0)", "hydra.sweeper.study_name=grid")
    assert [trial.value for trial in trials(tmp_path, "grid")] == [26.0, 1.0, 29.0, 4.0]
    message = run(tmp_path, *grid, "fails=2", "x=choice(1,2,3)", "y=0", "hydra.sweeper.study_name=f", status=FAILED)
    assert "given up: 33% of the trials have failed, which is more than hydra.sweeper.max_failure_rate=0.0" in message
    assert [trial.state.name for trial in trials(tmp_path, "f")] == ["COMPLETE", "FAIL", "WAITING"]


@pytest.mark.slow
def test_several_objectives_and_a_search_space(tmp_path: Path) -> None:
    run(tmp_path, "-m", "--config-name=multi")
    found = trials(tmp_path, "multi-objective")
    assert len(found) == 5
    assert {trial.params["y"] for trial in found} <= {0, 1, 2, 3}
    solutions = results(tmp_path)["solutions"]
    assert all(any(s["values"] == trial.values and s["params"] == trial.params for trial in found) for s in solutions)


@pytest.mark.slow
def test_the_hparams_search_of_lightning_hydra_template(tmp_path: Path) -> None:
    # the file says that it is a sweep, which Hydra 1.4 no longer takes from there
    mode = [] if version("hydra-core").startswith("1.3.") else ["hydra.mode=MULTIRUN"]
    run(tmp_path, "--config-name=train", "hparams_search=mnist_optuna", *mode)
    found = trials(tmp_path)
    assert [trial.state.name for trial in found] == ["COMPLETE"] * 4
    assert {float(trial.params["data.batch_size"]) for trial in found} <= {32, 64, 128, 256}
    assert results(tmp_path)["best_value"] == max(trial.value or 0.0 for trial in found)


def distances(found: list[optuna.trial.FrozenTrial]) -> list[float]:
    assert all(0 <= trial.params["w"] <= 1 for trial in found)
    return [abs(trial.params["z"] - trial.params["x"]) for trial in found]


@pytest.mark.slow
def test_a_custom_search_space(tmp_path: Path) -> None:
    command = ("-m", "--config-name=custom")
    run(tmp_path, *command)
    before = trials(tmp_path, "custom-search-space")
    assert len(before) == 3
    assert max(distances(before)) <= 0.5
    overrides = yaml.safe_load((tmp_path / "out" / "0" / ".hydra" / "overrides.yaml").read_text())
    assert [line.partition("=")[0] for line in overrides] == ["x", "y", "z", "+w"]
    assert results(tmp_path)["best_params"].keys() == {"x", "y", "z", "w"}
    out = run(tmp_path, *command, "hydra.sweeper.n_trials=5")
    after = trials(tmp_path, "custom-search-space")
    assert [trial.params for trial in after[:3]] == [trial.params for trial in before]
    assert re.findall(r"^trial (\d).* started$", out, re.MULTILINE) == ["3", "4"]
    assert max(distances(after)) <= 0.5
    another = "hydra.sweeper.custom_search_space=app.elsewhere"
    message = run(tmp_path, *command, another, status=1)
    assert "hydra.sweeper.custom_search_space is app.elsewhere, the study's app.configure" in message


@pytest.mark.slow
def test_a_custom_search_space_with_this_sweepers_own_settings(tmp_path: Path) -> None:
    command = ("-m", "--config-name=custom_own", "x=interval(-5,5)", "hydra.sweeper.n_trials=2")
    out = run(tmp_path, *command, "max_z_difference_from_x=0.1", "hydra.sweeper.replicas=2")
    [name] = re.findall(r"^study (x-\w+)$", out, re.MULTILINE)
    found = trials(tmp_path, name)
    assert [trial.user_attrs["replica"] for trial in found] == [0, 1, 0, 1]
    assert [trial.params for trial in found[::2]] == [trial.params for trial in found[1::2]]
    assert max(distances(found)) <= 0.1
    sweep = read(f"sqlite:///{tmp_path}/sweeps.db", name)
    assert sweep.axes == ("x", "z", "w", "v")
    assert sweep.log_axes == ("v",)
    run(
        tmp_path,
        *command,
        "max_z_difference_from_x=0.1",
        "hydra.sweeper.study_name=b",
        f"hydra.sweeper.warm_start=[{name}]",
    )
    taken = trials(tmp_path, "b")
    assert [trial.params for trial in taken[:4]] == [trial.params for trial in found]


@pytest.mark.parametrize(
    ("function", "further", "message"),
    [
        ("too_late", ["y=5,6"], "app.too_late at x=-5  y=5: RuntimeError: not for 5"),
        ("missing", [], "app.missing is not allowed: it must be the path of a function of a config and a trial"),
        ("configure", ["hydra/sweeper/study/sampler=grid"], "is not allowed with a grid"),
        ("configure", ["z=3"], "z cannot be suggested: the command line has z=3"),
        ("configure", ['hydra.sweeper.where="z>x"'], "z cannot be suggested: hydra.sweeper.where names it"),
        ("configure", ["hydra.sweeper.replicas=2", "hydra.sweeper.seed_key=z"], "replicas vary it"),
        ("configure", ["~z"], "Could not override 'z'"),
        ("configure", ["hydra.sweeper.n_trials=null"], "hydra.sweeper.n_trials is missing"),
    ],
)
def test_a_mistake_in_a_custom_search_space_is_one_message(function: str, further: list[str], message: str) -> None:
    path = f"hydra.sweeper.custom_search_space=tests.sweeps.optuna_plugin.app.{function}"
    command = [path, "x=interval(-5,5)", "hydra.sweeper.n_trials=2", *further]
    with pytest.raises(HydraException, match=re.escape(message)):
        read_outside_hydra(APP.parent / "conf", "custom_own", command)


def given(**changes: Any) -> Mapping[str, Any]:
    return {**asdict(OptunaPluginSettings()), **changes}


def test_the_settings_of_that_plugin_and_what_they_mean_here() -> None:
    plain = settings_from_plugin(given())
    assert (plain.n_trials, plain.workers, plain.max_failure_rate, plain.params) == (20, 2, 0.0, {})
    assert plain.storage == "sqlite:///sweeps.db"
    assert settings_from_plugin(given(n_jobs=-1)).workers is None
    assert settings_from_plugin(given(n_jobs=4, workers=3)).workers == 3
    space = {
        "a": {"type": "float", "low": 0, "high": 1},
        "b": {"type": "float", "low": 1, "high": 8, "log": True},
        "c": {"type": "int", "low": 1, "high": 8},
        "d": {"type": "int", "low": 1, "high": 9, "step": 2},
        "e": {"type": "float", "low": 0, "high": 1, "step": 0.5},
        "f": {"type": "categorical", "choices": ["x", 1, True]},
    }
    assert settings_from_plugin(given(search_space=space, params={"a": "choice(1,2)"})).params == {
        "a": "choice(1,2)",
        "b": "tag(log,interval(1.0,8.0))",
        "c": "int(interval(1,8))",
        "d": "range(1,10,2)",
        "e": "range(0.0,1.25,0.5)",
        "f": "choice(x,1,True)",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampler": asdict(PLUGIN_SAMPLERS["motpe"]())}, "take hydra/sweeper/sampler=tpe"),
        ({"sampler": asdict(PLUGIN_SAMPLERS["qmc"]())}, "take hydra/sweeper/sampler=random"),
        ({"search_space": {"x": {"type": "real"}}}, "it must be {type: float, low: 0, high: 1}"),
    ],
)
def test_what_cannot_be_carried_over_is_refused(changes: Mapping[str, Any], message: str) -> None:
    with pytest.raises(SweepError, match=re.escape(message)):
        settings_from_plugin(given(**changes))


@pytest.mark.parametrize("name", ["tpe", "random", "cmaes", "nsgaii", "gp"])
def test_each_sampler_of_that_plugin_is_made(name: str) -> None:
    assert instance(asdict(PLUGIN_SAMPLERS[name](seed=123)), "sampler") is not None
