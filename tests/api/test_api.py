"""The Python functions do what the commands do."""

import json
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from clipgan import api
from clipgan.api import callers_state
from clipgan.base.errors import UserError
from sweeps.points.trial_record import TrialRecord
from tests.api.state import assert_as, state_of_process
from tests.helpers import ROOT
from tests.tiny import tiny

FASTER = (
    "kimg=1", "mlflow.tracking_uri=null", "metrics.fid_sd=never", "metrics.kid=never",
    "metrics.precision_recall=never", "metrics.clip_score=never", "metrics.r_precision=never",
    "metrics.accuracy=never",
)  # fmt: skip
NOTEBOOK = ROOT / "docs" / "first_sweep.ipynb"


@contextmanager
def odd_process():
    """A caller with settings of its own, which finds its process as it was."""
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        with torch.inference_mode(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(logging.root, "handlers", [])  # pytest's
            before = state_of_process()
            yield
            assert_as(before)
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)


def test_the_module_imports_nothing_heavy_and_says_what_its_functions_do():
    code = "import sys, clipgan.api; assert not {'torch', 'mlflow', 'optuna'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    for function in (api.evaluate, api.load_generator, api.sweep, api.train):
        assert "Raises:" in function.__doc__, function.__name__


def test_a_mistake_raises_the_error_of_the_command():
    with pytest.raises(UserError, match=r"h=-1\.0 is not allowed"):
        api.train(["h=-1"])
    with pytest.raises(UserError, match="neither run nor checkpoint is given: give exactly one of the two"):
        api.load_generator()
    with pytest.raises(UserError, match=r"--config-dir is a flag .*; hydra.searchpath=\[file://DIR\] adds"):
        api.train(["--config-dir", "mine"])
    with pytest.raises(UserError, match=r"--config-dir=mine is a flag .*; hydra.searchpath=\[file://DIR\] adds"):
        api.sweep(["--config-dir=mine", "h=1,2"])
    with pytest.raises(UserError, match=r"dry_run runs no trial, and .* hydra\.sweeper\.dry_run=true"):
        api.sweep(["h=1,2", "hydra.sweeper.dry_run=true"])


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["kimgs=1"], "there is no key kimgs: did you mean kimg? "),
        (["losss=x"], "there is no key losss: did you mean loss? "),
        (["loss=symetric"], "loss=symetric is not an option: did you mean symmetric? Options of loss: asymmetric,"),
        (["pairs=3"], "pairs=3 is not allowed: the options of a group are names;"),
        (["cache_dir="], "cache_dir= is empty: give cache_dir=VALUE, or leave it out"),
        (["data.path=/a (1)", "kimgs=1"], "there is no key kimgs: did you mean kimg? "),
        (["mlflow.experiment=a(b"], "mlflow.experiment=a(b cannot be read ("),
    ],
)
def test_hydras_errors_have_the_messages_of_the_command(overrides, said):
    for call in (api.train, lambda given: api.sweep([*given, "seed=1,2"])):
        with pytest.raises(UserError) as caught:
            call(overrides)
        assert str(caught.value).startswith(said)


def test_a_sweeps_own_mistakes_are_user_errors():
    with pytest.raises(UserError, match=r"^there is no key hydra\.sweeper\.n_trails: did you mean .*n_trials"):
        api.sweep(["h=1,2", "hydra.sweeper.n_trails=3"])
    with pytest.raises(UserError, match=r"^hydra\.sweeper\.replicas=0 is not allowed: it must be auto, or at least 1$"):
        api.sweep(["h=1,2", "hydra.sweeper.replicas=0"])


@pytest.mark.slow
def test_a_command_that_is_refused_is_a_user_error_with_and_without_a_study(tmp_path, monkeypatch):
    """The results of an earlier command are not returned as those of this one."""
    monkeypatch.chdir(tmp_path)
    popen, commands = subprocess.Popen, []

    def noted(*given, **options):
        commands.append(popen(*given, **options))
        return commands[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)
    earlier = SimpleNamespace(trials=[TrialRecord(0, "FAIL", {"h": 1.0}), TrialRecord(1, "FAIL", {"h": 2.0})])
    for there in (False, True):
        if there:
            monkeypatch.setattr("sweeps.report.reading.read", lambda *_: earlier)
        with pytest.raises(UserError, match=r"^the sweep ended with status 1: hydra\.sweep\.dir=/proc/nowhere cannot"):
            api.sweep(["h=1,2", "hydra.sweep.dir=/proc/nowhere"], show=False)
        assert commands.pop().stdout.closed  # else a ResourceWarning comes some time later


@pytest.mark.parametrize("given", ["h=1", {"h": 1}, 3, b"h=1", ["h=1", 2], {"h=1"}])
def test_what_is_no_list_of_texts_is_refused(given):
    """Python would read a text letter by letter, and a mapping's keys."""
    calls = {
        "config": api.train,
        "overrides": api.sweep,
        "metrics": lambda given: api.evaluate(checkpoint="x.pt", metrics=given),
    }
    for name, call in calls.items():
        with pytest.raises(UserError) as caught:
            call(given)
        assert str(caught.value).startswith(f"{name}={given!r} is not allowed: it must be a list of texts, as in [")


def test_a_generator_heeds_no_default_of_its_process_and_changes_nothing(trained):
    expected = api.load_generator(checkpoint=trained.checkpoint).draw("a big red circle", seed=0)
    with odd_process():
        generator = api.load_generator(run=trained.id, mlflow_tracking_uri=trained.tracking_uri)
        drawn = generator.draw("a big red circle", seed=0)
    assert drawn.tobytes() == expected.tobytes()


@pytest.mark.slow
def test_a_training_gives_its_result(cache_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    reported = []
    with odd_process():
        result = api.train(tiny(cache_dir, *FASTER, "h=3"), report=lambda value, kimg: reported.append((kimg, value)))
    assert [kimg for kimg, _ in reported] == [0, 1]
    assert result.stopped is False  # None, which the function returns, is no
    [folder] = tmp_path.glob("runs/single/*")
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert (result.objective, result.unit) == (last["fjd32_clip_tiny64"], "kimg")
    assert (result.run_dir.resolve(), result.checkpoint.name) == (folder, "checkpoint-000001.pt")
    again = next(line for line in capsys.readouterr().out.splitlines() if "resume=auto" in line)
    assert " h=3 " in again
    assert f"hydra.run.dir={folder.relative_to(tmp_path)}" in again


@pytest.mark.slow
def test_a_training_goes_below_a_run_of_the_callers(cache_dir, tmp_path, mlflow_store):
    uri = mlflow_store(tmp_path / "mlflow.db")
    client = MlflowClient(uri)
    mine = client.create_experiment("mine", artifact_location=str(tmp_path / "artifacts"))
    parent = client.create_run(mine).info.run_id
    own = (f"mlflow.tracking_uri={uri}", "mlflow.experiment=mine", "h=3")
    api.train(tiny(cache_dir, *FASTER, *own), tmp_path / "run", origin=api.Origin(parent_run_id=parent))
    [run] = [run for run in client.search_runs([mine]) if run.info.run_id != parent]
    assert run.data.tags["mlflow.parentRunId"] == parent
    assert " h=3 resume=auto " in run.data.tags["mlflow.note.content"]  # its own command, though an origin is given


@pytest.mark.slow
def test_trainings_of_several_threads_follow_one_another_and_have_the_same_values(cache_dir, tmp_path, capsys):
    settings, steps = tiny(cache_dir, *FASTER), []

    def go(name):
        return api.train(settings, tmp_path / name, report=lambda *_: steps.append(name)).objective

    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(go, "ab")
    assert steps in (list("aabb"), list("bbaa"))
    assert first == second == go("c")
    assert (torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()) == before
    assert "this call waits until a training or evaluation of another thread has ended" in capsys.readouterr().out


def test_a_report_may_measure_in_its_own_thread(capsys):
    with callers_state.alone(), callers_state.alone():
        assert capsys.readouterr().out == ""  # it does not wait for itself


@pytest.mark.endurance
def test_the_notebook(cache_dir, tmp_path, monkeypatch, capsys):
    """All its cells, with less data; it sweeps, finds the best checkpoint, draws and measures."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        assert cell.get("outputs", []) == []
        if cell["cell_type"] != "code":
            continue
        exec("".join(cell["source"]), names)  # as a kernel does
        if "parameters" in cell["metadata"].get("tags", ()):
            names["SETTINGS"] = [*tiny(cache_dir, *FASTER), "hydra.sweeper.workers=1"]
    study = names["study"]
    assert [trial.state for trial in study.trials] == ["COMPLETE"] * 3
    assert list(names["curves"].columns) == ["h=0.1", "h=0.5", "h=2"]
    best = min(study.trials, key=lambda trial: trial.value)
    assert study.best_checkpoint.parent == tmp_path / "runs" / study.name / str(best.run)
    assert names["picture"].size == (16, 16)
    again = names["generator"].draw("a big red circle on a white background", seed=0)
    assert np.array_equal(np.asarray(again), np.asarray(names["picture"]))
    # in another process, a last bit of an image may differ, and with it a grey level
    assert names["metrics"]["fjd32_clip_tiny64"] == pytest.approx(best.value, rel=1e-2)
    assert "best: trial" in capsys.readouterr().out
