"""Trials that end early: pruners called as a job calls them, and whole sweeps."""

import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from sweeps.base.errors import SweepError
from sweeps.base.samplers_and_pruners import PRUNERS, HyperbandPruner, MedianPruner, SuccessiveHalvingPruner, pruner_of
from sweeps.job.current_trial import RunningTrial
from sweeps.job.pruning import _study, is_to_end
from sweeps.points.search_space import Point
from sweeps.search.in_memory_study import in_memory_study
from sweeps.search.plan import Grid, Plan
from sweeps.study.claims import SweepStudy
from sweeps.study.storage import open_storage
from tests.sweeps.sweep_app import App

MEDIAN = {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 1, "n_warmup_steps": 1}
HYPERBAND = {"_target_": "optuna.pruners.HyperbandPruner", "min_resource": 1, "max_resource": 4, "reduction_factor": 2}
HALVING = {"_target_": "optuna.pruners.SuccessiveHalvingPruner", "min_resource": 1, "reduction_factor": 2}


class Trials:
    """A study whose trials are run by hand."""

    def __init__(self, directory: Path, direction: str = "minimize") -> None:
        url = f"sqlite:///{directory}/s.db"
        self.plan = Plan(Grid([Point({"h": float(h)}, (f"h={h}",)) for h in range(20)]))
        self.study = SweepStudy(url, "s", direction, {"axes": ["h"], "config": {}}, print)
        self.study.enqueue(self.plan, {"h": [float(h) for h in range(20)]})
        self.storage = open_storage(url)
        self.key = self.storage.get_study_id_from_name("s")

    def report(self, number: int, value: float, step: int) -> None:
        RunningTrial(self.study.url, "s", number, None).report(value, step)

    def asks(self, number: int, value: float, step: int, pruner: dict[str, Any]) -> bool:
        self.report(number, value, step)
        return is_to_end(self.storage, "s", number, step, pruner)

    def complete(self, *values: float) -> None:
        claim = self.study.claim(self.plan)
        assert claim is not None
        for step, value in enumerate(values):
            self.report(claim.number, value, step)
        self.study.complete(claim, values[-1:], None)


@pytest.fixture
def trials(tmp_path: Path) -> Trials:
    return Trials(tmp_path)


def test_worse_than_the_median_at_the_same_step(trials: Trials) -> None:
    for last in (1.0, 2.0, 3.0):
        trials.complete(10.0, last)
    trials.study.claim(trials.plan)
    assert not trials.asks(3, 99.0, 0, MEDIAN)  # at step 0 nothing is trained
    assert not trials.asks(3, 2.0, 1, MEDIAN)
    trials.study.claim(trials.plan)
    assert trials.asks(4, 2.5, 1, MEDIAN)


def test_a_result_counts_although_its_rerun_has_failed(trials: Trials) -> None:
    trials.complete(1.0, 1.0, 1.0)
    trials.study.enqueue(trials.plan, {}, ["COMPLETE"])
    again = trials.study.claim(trials.plan)
    assert again is not None
    assert again.point == {"h": 0.0}
    trials.study.fail(again, "no such file", None)
    claim = trials.study.claim(trials.plan)
    assert claim is not None
    assert trials.asks(claim.number, 2.0, 1, MEDIAN)


def test_the_direction_counts(tmp_path: Path) -> None:
    trials = Trials(tmp_path, "maximize")
    trials.complete(0.0, 2.0)
    trials.study.claim(trials.plan)
    assert not trials.asks(1, 2.5, 1, MEDIAN)
    trials.study.claim(trials.plan)
    assert trials.asks(2, 1.5, 1, MEDIAN)


def test_successive_halving_keeps_what_it_knows_between_two_questions(trials: Trials) -> None:
    for _ in range(4):
        trials.study.claim(trials.plan)
    assert [trials.asks(number, value, 1, HALVING) for number, value in enumerate((4.0, 3.0, 2.0, 5.0))] == [
        False,  # alone at the first rung
        False,
        False,
        True,
    ]
    kept = [trial.system_attrs for trial in optuna.load_study(study_name="s", storage=trials.study.url).trials[:4]]
    assert [attributes.get("completed_rung_0") for attributes in kept] == [4.0, 3.0, 2.0, 5.0]
    assert not trials.asks(2, 1.0, 2, HALVING)
    assert trials.asks(1, 2.5, 2, HALVING)


def test_a_requeued_trial_does_not_compete_with_itself_and_its_old_steps_count_as_they_were(trials: Trials) -> None:
    claim = trials.study.claim(trials.plan)
    assert claim is not None
    trials.asks(0, 4.0, 1, HALVING)
    trials.asks(0, 3.0, 2, HALVING)
    trials.study.give_back(claim)
    again = trials.study.claim(trials.plan)
    assert again is not None
    for step, value in ((1, 4.0), (2, 3.0)):  # from its checkpoint it reports all that it has
        assert not trials.asks(again.number, value, step, HALVING)
    attributes = optuna.load_study(study_name="s", storage=trials.study.url).trials[again.number].system_attrs
    assert attributes == {"completed_rung_0": 4.0, "completed_rung_1": 3.0}
    for value, ends in ((5.0, True), (4.5, True), (4.2, False)):  # 4.2 is second of four; were 4.0 there twice, third
        claim = trials.study.claim(trials.plan)
        assert claim is not None
        assert trials.asks(claim.number, value, 1, HALVING) is ends


@pytest.mark.parametrize("settings", [MEDIAN, HALVING, HYPERBAND])
def test_the_answers_are_those_of_a_copy_of_the_study(trials: Trials, settings: dict[str, Any]) -> None:
    """Only trials that run are read again, and none is copied."""
    values, answers = random.Random(0), []
    for number in range(12):
        claim = trials.study.claim(trials.plan)
        assert claim is not None
        for step in range(1, 5):
            value = number % 5 + values.random() / step
            trials.report(number, value, step)
            stored = trials.storage.get_all_trials(trials.key)
            copied = in_memory_study("s", ["minimize"], stored)
            pruner = pruner_of(settings)
            assert pruner is not None
            expected = pruner.prune(copied, copied.get_trials()[number])
            answers.append(is_to_end(trials.storage, "s", number, step, settings))
            assert answers[-1] is expected
            now = trials.storage.get_all_trials(trials.key)[number].system_attrs
            assert now == copied.trials[number].system_attrs
            if expected:
                break
        again = _study(trials.study.url, "s")[1].refresh(with_running=True)
        assert [record.number for record in again] == [number]
        trials.study.prune(claim, None) if expected else trials.study.complete(claim, [value], None)
    assert {*answers} == {True, False}


@pytest.mark.parametrize("name", sorted(PRUNERS))
def test_each_option_makes_its_pruner(name: str) -> None:
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    import hydra_plugins.clipgan_sweeper  # noqa: F401  # registers them

    node = ConfigStore.instance().load(f"hydra/sweeper/study/pruner/{name}.yaml").node
    settings = OmegaConf.to_container(node) | ({"upper": 3.0} if name == "threshold" else {})
    pruner = pruner_of(settings, max_step=16)
    if name == "none":
        assert pruner is None
    else:
        assert isinstance(pruner, optuna.pruners.BasePruner)
        assert f"optuna.pruners.{type(pruner).__name__}" == settings["_target_"]


@pytest.mark.parametrize(("max_step", "first"), [(16, (3, 3, 2)), (25000, (5000, 5000, 3125)), (2, (1, 1, 1))])
def test_the_first_pruning_step_depends_on_the_length_of_a_trial(max_step: int, first: tuple[int, int, int]) -> None:
    median = pruner_of(asdict(MedianPruner()), max_step)
    halving = pruner_of(asdict(SuccessiveHalvingPruner()), max_step)
    hyperband = pruner_of(asdict(HyperbandPruner()), max_step)
    assert isinstance(median, optuna.pruners.MedianPruner)
    assert isinstance(halving, optuna.pruners.SuccessiveHalvingPruner)
    assert isinstance(hyperband, optuna.pruners.HyperbandPruner)
    assert (median._n_warmup_steps, halving._min_resource, hyperband._min_resource) == first
    assert hyperband._max_resource == max_step


def test_a_given_step_counts_and_without_a_length_all_may_end_from_step_1_on() -> None:
    given = pruner_of(asdict(MedianPruner(n_warmup_steps=7)), 16)
    unknown = pruner_of(asdict(MedianPruner()), None)
    assert isinstance(given, optuna.pruners.MedianPruner)
    assert isinstance(unknown, optuna.pruners.MedianPruner)
    assert (given._n_warmup_steps, unknown._n_warmup_steps) == (7, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({**MEDIAN, "n_startup_trials": -1}, r"pruner is not allowed: MedianPruner\(n_startup_trials=-1.*negative"),
        ({"_target_": "optuna.pruners.HyperbandPruner", "max_resource": None}, "max_step is missing"),
        ({"_target_": "optuna.pruners.ThresholdPruner"}, "ThresholdPruner.*lower.*upper"),
        ({"_target_": "collections.OrderedDict"}, "pruner._target_=collections.OrderedDict is no pruner"),
        ({"_target_": "nowhere.Mine"}, "_target_=nowhere.Mine cannot be imported .*No module named 'nowhere'"),
        ({"_target_": "optuna.pruners.Mine"}, "module 'optuna.pruners' has no attribute 'Mine'"),
        (
            {"_target_": "optuna.pruners.PatientPruner", "wrapped_pruner": {"_target_": "nowhere.Mine"}, "patience": 1},
            "_target_=nowhere.Mine cannot be imported .*No module named 'nowhere'",
        ),
    ],
)
def test_bad_settings_are_one_message(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SweepError, match=message):
        pruner_of(settings)


@pytest.mark.parametrize(
    ("code", "reason"),
    [("import nowhere", "No module named 'nowhere'"), ("1 / 0", "ZeroDivisionError"), ("class :", "invalid syntax")],
)
def test_the_error_of_a_module_of_ones_own_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str
) -> None:
    package = tmp_path / f"own_{len(code)}"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "mine.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SweepError, match=rf"_target_={package.name}\.mine\.Pruner cannot be imported .*{reason}"):
        pruner_of({"_target_": f"{package.name}.mine.Pruner"})


@pytest.mark.parametrize(
    "settings",
    [
        {"_target_": "pathlib.Path.touch"},
        {
            "_target_": "optuna.pruners.PatientPruner",
            "patience": 1,
            "wrapped_pruner": {"_target_": "pathlib.Path.touch"},
        },
    ],
)
def test_a_target_is_looked_at_before_it_is_called(tmp_path: Path, settings: dict[str, Any]) -> None:
    harmful = settings.get("wrapped_pruner", settings)
    harmful["self"] = Path(tmp_path / "trace")
    with pytest.raises(SweepError, match=r"_target_=pathlib\.Path\.touch is no pruner"):
        pruner_of(settings)
    assert not (tmp_path / "trace").exists()


def test_several_objectives_have_no_pruner() -> None:
    with pytest.raises(SweepError, match=r"not allowed with 2 objectives.*pruner=none"):
        pruner_of(MEDIAN, 16, 2)
    assert pruner_of(None, 16, 2) is None


@pytest.mark.slow
def test_a_sweep_prunes_and_a_command_without_a_pruner_finishes_what_it_ended(app: App) -> None:
    in_order = "hydra.sweeper.enqueue=[{h: 0.5}, {h: 0.6}, {h: 0.7}, {h: 3}, {h: 0.4}]"
    command = ("h=0.5,0.6,0.7,3,0.4", "mode=curve", in_order)
    out = app.run(*command, "pruner=median", "hydra.sweeper.pruner.n_startup_trials=3")
    assert [trial.state.name for trial in app.trials()] == ["COMPLETE"] * 3 + ["PRUNED", "COMPLETE"]
    pruned = app.trials()[3]
    assert sorted(pruned.intermediate_values) == [0, 1]  # within one step of the decision
    assert "trial 3  h=3  PRUNED in " in out
    assert "Traceback" not in out
    assert not list(app.cwd.glob("runs/*/3/error.txt"))

    out = app.run(*command, "pruner=median", "hydra.sweeper.pruner.n_startup_trials=1")
    assert "0 trials run" in out  # a pruned point is done, whatever the pruner
    app.run(*command)
    [again] = [trial for trial in app.trials(state=TrialState.COMPLETE) if trial.params["h"] == 3]
    assert (again.user_attrs["run"], again.value) == (3, 6.25)  # in its run directory


@pytest.mark.slow
def test_a_sweep_whose_trials_are_all_pruned_has_not_failed(app: App) -> None:
    app.run("h=2,3", "mode=curve", "pruner=threshold", "hydra.sweeper.pruner.upper=0.1", status=0)
    assert [trial.state.name for trial in app.trials()] == ["PRUNED"] * 2
