"""Whole short trainings in process: they write their files, resume from a checkpoint, and report divergence."""

import functools
import json
import math
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image

from clipgan.base.errors import UserError
from clipgan.base.pictures import LINE, letters, wrap
from clipgan.config.user_command import UserCommand
from clipgan.engine.checkpoint_file import load_checkpoint, save_checkpoint
from clipgan.engine.result import Result
from clipgan.engine.step_averages import StepAverages
from clipgan.tasks.gan import preparation
from clipgan.tasks.gan.preparation import prepare
from clipgan.tasks.gan.training import Training, axis_to_sweep
from clipgan.tasks.train import train
from clipgan.tracking.run_description import Origin
from tests.helpers import assert_same, make_config, records, repeatable
from tests.tiny import tiny

CPU = torch.device("cpu")


CHANGED = r"images or captions of data=shapes have changed since.* the old data.* \(hydra\.run\.dir=DIR\); resume=none"
SOURCES = {"data.fingerprint", "data.content", "clip.key", "judge.key", "resnet.key", "extractor.key"}


def weights(run_dir, kimg):
    return load_checkpoint(run_dir / f"checkpoint-{kimg:06d}.pt", CPU)["state"]


@dataclass(frozen=True)
class Trained:
    """A training of 2 kimg to its end: its directory, what it returned, and what it reported."""

    folder: Path
    result: Result
    reported: list[tuple[int, float]]


@pytest.fixture(scope="module")
def trained(cache_dir, tmp_path_factory):
    """A training with a loss structure, for all tests that look at one."""

    @functools.cache
    def make(loss):
        folder, reported = tmp_path_factory.mktemp(loss), []
        config = make_config(*tiny(cache_dir, "mlflow.tracking_uri=null", f"loss={loss}"))
        result = train(config, folder, report=lambda value, kimg: reported.append((kimg, value)))
        return Trained(folder, result, reported)

    return make


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["symmetric", "asymmetric", "lafite"])
def test_a_run_records_every_active_term(trained, loss):
    run = trained(loss)
    result, rows = run.result, records(run.folder)
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert run.reported == [(row["step"], row["fjd32_clip_tiny64"]) for row in rows]
    assert result.objective == rows[-1]["fjd32_clip_tiny64"]
    assert rows[-1]["fjd32_clip_tiny64_best"] == min(value for _, value in run.reported)
    per_network = {
        "symmetric": {"G": ("D/it", "D/ii", "CLIP/it", "CLIP/ii", "ResNet/it", "ResNet/ii"), "D": ("D/it", "D/ii")},
        "asymmetric": {"G": ("D/it", "CLIP/it", "CLIP/ii", "ResNet/ii"), "D": ("D/it",)},
        "lafite": {"G": ("D/it", "CLIP/it"), "D": ("D/it",)},
    }[loss]
    expected = {
        f"{network}/{term}{direction}"
        for network, terms in per_network.items()
        for term in terms
        for direction in (("_het",) if loss == "lafite" else ("", "_het"))  # lafite has the other at weight 0
    }
    assert {key.removeprefix("terms/") for key in rows[-1] if key.startswith("terms/")} == expected
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert rows[-1]["sec_per_kimg"] > 0
    assert rows[-1]["memory_gb"] > 0
    assert all(0 <= row["r_precision32_clip_tiny64"] <= 1 for row in rows)
    assert ("text_to_resnet_r2" in rows[0]) == (loss != "lafite")


@pytest.mark.slow
def test_mlflow_gets_what_the_file_has(configure, tmp_path):
    config = configure("features=online")
    train(config, tmp_path / "run")
    client = MlflowClient(config.mlflow.tracking_uri)
    [run] = client.search_runs([client.get_experiment_by_name("clipgan").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "symmetric h=0.5 shapes 16px"
    assert run.data.tags["mlflow.note.content"].startswith("A text-to-image GAN: loss structure symmetric with h = 0.5")
    [given] = run.inputs.dataset_inputs
    assert (given.dataset.name, run.data.params["data.name"]) == ("shapes", "shapes")
    assert "loss.generator.CLIP.it.h" not in run.data.params  # it has none of its own: the structure's is ${h}
    assert run.data.params["S.CLIP"] == "2.0"
    for key in (
        "fid32_clip_tiny64",
        "fjd32_clip_tiny64_best",
        "terms/G/CLIP/it",
        "terms/G/CLIP/it_het",
        "sec_per_kimg",
        "memory_gb",
    ):
        ours = [(row["step"], row[key]) for row in records(tmp_path / "run") if key in row]
        theirs = [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, key)]
        assert theirs == ours
    artifacts = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert artifacts == {"config.yaml", "metrics.jsonl", "images", *(f"samples-{kimg:06d}.png" for kimg in (0, 1, 2))}


@pytest.mark.slow
def test_resuming_does_not_change_the_result(configure, trained, tmp_path):
    quiet, whole = "mlflow.tracking_uri=null", trained("symmetric").folder
    train(configure("kimg=1", quiet), tmp_path / "halves")
    (tmp_path / "halves" / "metrics.jsonl").open("a").write('{"step": 9, "time": 0}\n')  # after the checkpoint: dropped
    train(configure("kimg=2", quiet), tmp_path / "halves")
    assert_same(weights(whole, 2), weights(tmp_path / "halves", 2))
    whole, halves = repeatable(whole), repeatable(tmp_path / "halves")
    assert [{key: row[key] for key in same} for row, same in zip(halves, whole, strict=True)] == whole
    assert "kid32_clip_tiny64" in halves[1].keys() - whole[1].keys()  # a training that ends measures more


@pytest.mark.slow
def test_a_stopped_run_ends_at_its_snapshot_and_can_resume(configure, tmp_path):
    config = configure("kimg=3")
    result = train(config, tmp_path / "run", report=lambda fid, kimg: kimg <= 1)  # its first answer counts for nothing
    assert result.stopped is True
    assert [row["step"] for row in records(tmp_path / "run")] == [0, 1]
    assert {path.name for path in (tmp_path / "run").glob("[cs]*-*")} == {
        f"{kind}-{kimg:06d}.{suffix}" for kind, suffix in (("checkpoint", "pt"), ("samples", "png")) for kimg in (0, 1)
    }
    client = MlflowClient(config.mlflow.tracking_uri)
    [run] = client.search_runs([client.get_experiment_by_name("clipgan").experiment_id])
    assert (run.info.status, run.data.tags["pruned"]) == ("KILLED", "true")
    assert "samples-000001.png" in {item.path for item in client.list_artifacts(run.info.run_id)}

    again = train(config, tmp_path / "run", report=lambda fid, kimg: kimg == 1)  # resumed at 1, and told so again
    assert again.stopped
    assert [row["step"] for row in records(tmp_path / "run")] == [0, 1]
    assert not train(config, tmp_path / "run", report=lambda fid, kimg: kimg == 3).stopped  # its last step is its end
    assert [row["step"] for row in records(tmp_path / "run")] == [0, 1, 2, 3]
    [run] = client.search_runs([run.info.experiment_id])
    assert (run.info.status, run.data.tags["pruned"]) == ("FINISHED", "false")


@pytest.mark.slow
def test_a_run_of_so_many_seconds_ends_at_the_nearest_kimg(configure, tmp_path, monkeypatch, capsys):
    def limited(seconds):
        return configure("kimg=4", "snapshot_kimg=4", f"seconds={seconds}", "mlflow.tracking_uri=null")

    def run(config):
        return train(config, tmp_path, origin=Origin(UserCommand(run_dir=tmp_path)))

    def steps():
        return [row["step"] for row in records(tmp_path)]

    monkeypatch.setattr(StepAverages, "seconds", lambda tick: 0.1 * tick.steps)
    monkeypatch.setattr(StepAverages, "stop", StepAverages.seconds)
    result = run(limited(1.4 * 1.05))  # a kimg has 10 or 11 steps
    assert (result.stopped, steps()) == (False, [0, 1])
    assert result.sec_per_unit == pytest.approx(1.05, rel=0.05)
    assert "fid32_clip_tiny64_sd" in records(tmp_path)[-1]  # an end measures all
    assert run(limited(1.4 * 1.05)) == result  # it is over
    assert steps() == [0, 1]
    run(limited(2.6 * 1.05))
    assert steps() == [0, 1, 2, 3]
    out = capsys.readouterr().out
    assert "train.py seconds=3 resume=auto hydra.run.dir=" in out  # to train on: as long again as the limit
    assert "train.py kimg=6 seconds=7 resume=auto hydra.run.dir=" in out  # 32 steps have taken 3.2 s
    run(limited(1000))  # kimg is the most
    assert steps() == [0, 1, 2, 3, 4]
    assert "train.py kimg=8 resume=auto hydra.run.dir=" in capsys.readouterr().out  # more seconds would change nothing
    with pytest.raises(UserError, match=r"longer training: seconds=1\.47 ends earlier.* 4\.2 s of.*seconds=5 or more"):
        run(limited(1.4 * 1.05))
    assert steps() == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_seconds_of_training_have_no_snapshot_nor_start_in_them(configure, tmp_path, monkeypatch):
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    monkeypatch.setattr("clipgan.engine.step_averages.time", clock)

    def report(fid, kimg):  # at each snapshot, and of those before when a run goes on
        clock.now += 100
        return False

    for kimg in (1, 2):
        config = configure(f"kimg={kimg}", "snapshot_kimg=1", "mlflow.tracking_uri=null")
        assert train(config, tmp_path, report).sec_per_unit == 0
    assert [row.get("sec_per_kimg") for row in records(tmp_path)] == [None, 0, 0]


@pytest.mark.slow
def test_a_finished_run_trains_no_more_and_another_run_is_refused(configure, tmp_path, capsys):
    quiet = "mlflow.tracking_uri=null"
    first = train(configure("kimg=1", quiet), tmp_path)
    before = (tmp_path / "checkpoint-000001.pt").stat().st_mtime_ns
    assert train(configure("kimg=1", quiet), tmp_path) == first
    assert "step 11: its end, so it is not trained again; resume=none starts over\n" in capsys.readouterr().out
    assert first.objective_sd is not None
    assert (tmp_path / "checkpoint-000001.pt").stat().st_mtime_ns == before
    train(configure("kimg=2", quiet), tmp_path)
    longer = r"000002\.pt is of a longer training: kimg=1 ends at step 11, .* 21; give kimg=2 or more.*abandoned/"
    for resume in ("auto", tmp_path / "checkpoint-000002.pt"):
        with pytest.raises(UserError, match=longer):
            train(configure("kimg=1", f"resume={resume}", quiet), tmp_path)
    assert train(configure("kimg=1", f"resume={tmp_path / 'checkpoint-000001.pt'}", quiet), tmp_path) == first
    told = []
    origin = Origin(UserCommand(run_dir=tmp_path), tell_names=lambda *names: told.append(names))
    with pytest.raises(UserError, match=r"another run: h=0\.5 there, 2\.0 here.*resume=none"):
        train(configure("kimg=1", "h=2", quiet), tmp_path, origin=origin)
    assert told == []  # a sweep's trial keeps the names of the values that it has
    path = tmp_path / "checkpoint-000001.pt"
    checkpoint = load_checkpoint(path, CPU)
    sources = checkpoint["sources"]
    assert {name for name, value in sources.items() if value} == SOURCES
    for name in SOURCES - {"data.fingerprint"}:  # the files that the configuration names may hold something else by now
        save_checkpoint(path, checkpoint | {"sources": sources | {name: "another"}})
        changed = rf"is of another run: {name}=another there, {sources[name]} here"
        with pytest.raises(UserError, match=CHANGED if name == "data.content" else changed):
            train(configure("kimg=1", quiet), tmp_path)
    again = train(configure("kimg=1", "resume=none", quiet), tmp_path)
    assert again.objective == first.objective


def test_too_few_images_for_a_measure_are_refused_before_an_encoder_is_trained(configure, tmp_path, monkeypatch):
    for name in ("load_clip", "train_side_by_side"):
        monkeypatch.setattr(preparation, name, lambda *args, **kwargs: pytest.fail("this takes hours"))
    for few in ("data.n_heldout=3", "metrics.n_images=3"):
        with pytest.raises(UserError, match=r"^precision_recall needs at least 4 images of both kinds"):
            train(configure(few), tmp_path)
    with pytest.raises(UserError, match=r"^density_coverage needs at least \d+ real images"):
        train(configure("data.n_heldout=5", "metrics.density_coverage=end"), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("resume", ["auto", "checkpoint-000002.pt"])
def test_changed_data_are_refused_before_an_encoder_is_trained(trained, configure, tmp_path, monkeypatch, resume):
    folder = shutil.copytree(trained("symmetric").folder, tmp_path / "run")
    checkpoint = load_checkpoint(folder / "checkpoint-000002.pt", CPU)
    save_checkpoint(
        folder / "checkpoint-000002.pt", checkpoint | {"sources": checkpoint["sources"] | {"data.content": "another"}}
    )
    config = configure("loss=symmetric", f"resume={resume if resume == 'auto' else folder / resume}")
    for name in ("load_clip", "train_side_by_side", "load_features"):
        monkeypatch.setattr(preparation, name, lambda *args, **kwargs: pytest.fail("this takes hours"))
    with pytest.raises(UserError, match=rf"000002\.pt: {CHANGED}"):
        train(config, folder)
    with pytest.raises(UserError, match=r"of another run: h=0\.5 there, 2\.0 here"):  # the data may differ for this
        train(replace(config, h=2.0), folder)


@pytest.mark.slow
def test_the_sample_grid_has_the_same_prompts_at_every_snapshot(trained):
    folder = trained("symmetric").folder
    grids = [Image.open(folder / f"samples-{kimg:06d}.png") for kimg in (0, 1)]
    first, second = map(np.asarray, grids)
    above = 0
    for row in json.loads(grids[0].text["rows"]):
        top = above + LINE * len(wrap(row["title"], 3 * 64 - 8, letters()))
        assert row["box"] == [0, top, 3 * 64, top + 64]
        np.testing.assert_array_equal(first[above:top], second[above:top])
        above = top + 64
    assert first.shape == second.shape == (above, 3 * 64, 3)
    assert (first != second).any()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_snapshots_are_generated_in_the_trainings_precision(configure, tmp_path, precision):
    config = configure(f"precision={precision}")
    training = Training(config, tmp_path, prepare(config, CPU), CPU, None)
    assert training.params()["metrics/precision"] == precision
    with training.evaluation.context():
        assert torch.is_autocast_enabled("cpu") == (precision == "bf16")


@pytest.mark.slow
def test_the_objective_may_be_accuracy_where_more_is_better(configure, tmp_path):
    result = train(
        configure("mlflow.tracking_uri=null", "metrics.objective=accuracy", "metrics.returns=best"), tmp_path
    )
    rows = records(tmp_path)
    assert result.objective == rows[-1]["accuracy_best"] == max(row["accuracy"] for row in rows)
    last = {"fid": "fid32_clip_tiny64", "fjd": "fjd32_clip_tiny64", "r_precision": "r_precision32_clip_tiny64"}
    assert result.figures == {short: rows[-1][name] for short, name in last.items()}


@pytest.mark.parametrize(
    ("overrides", "axis"),
    [
        ([], "h=0.1,0.5,2"),
        (["loss=lafite"], "C_it=0.5,1.25,2.5"),
        (["loss=lafite", "h=1"], "C_it=0.5,1.25,2.5"),  # the number in h's place
        (["~loss.generator.D", "~loss.generator.CLIP", "~loss.generator.ResNet", "~loss.discriminator.D"], None),
    ],
)
def test_the_sweep_that_is_proposed_has_an_axis_that_the_loss_reads(overrides, axis):
    assert axis_to_sweep(make_config(*overrides)) == axis
