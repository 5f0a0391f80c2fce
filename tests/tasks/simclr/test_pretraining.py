"""Whole short pretrainings: metrics, resuming bit for bit, a sweep that maximises, several processes."""

import math
import signal
import sys

import optuna
import pytest
import torch
from mlflow import MlflowClient

from clipgan.base.errors import Interrupted, UserError
from clipgan.engine.checkpoint_file import load_checkpoint, save_checkpoint
from clipgan.tasks.gan.initial_weights import read_initial
from clipgan.tasks.simclr import pretraining
from clipgan.tasks.simclr.pretraining import Pretraining
from clipgan.tasks.train import train
from tests import warm
from tests.helpers import ROOT, assert_same, make_config, repeatable
from tests.tiny import tiny_simclr

CPU = torch.device("cpu")


@pytest.fixture
def configure(cache_dir):
    return lambda *overrides: make_config(*tiny_simclr(cache_dir, "mlflow.tracking_uri=null", *overrides))


def weights(run_dir, epoch):
    return load_checkpoint(run_dir / f"checkpoint-{epoch:06d}.pt", CPU, task="simclr")["state"]


@pytest.mark.slow
def test_a_run_counts_epochs_and_returns_its_accuracy(configure, tmp_path, mlflow_store):
    reported = []
    few = ("simclr.few_labels=[0.1,0.5]", "simclr.finetune.when=end", "simclr.finetune.epochs=2")
    config = configure("pairs=add_new_positive", f"mlflow.tracking_uri={mlflow_store(tmp_path / 'mlflow.db')}", *few)
    result = train(config, tmp_path / "run", report=lambda value, epoch: bool(reported.append((epoch, value))))
    rows = repeatable(tmp_path / "run")
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert reported == [(row["step"], row["linear_acc"]) for row in rows]
    assert (result.objective, result.unit, result.stopped) == (rows[-1]["linear_acc"], "epoch", False)
    best = rows[-1]["linear_acc_best"]
    assert best == max(row["linear_acc"] for row in rows)
    assert result.objective_sd == pytest.approx(math.sqrt(result.objective * (1 - result.objective) / 32))
    assert 0 < rows[0]["neighbours_right"] <= 1
    assert rows[0]["neighbours_chance"] == pytest.approx(1 / 6, abs=0.05)
    assert all(0 <= row["knn_acc"] <= 1 and math.isfinite(row.get("loss/nt_xent", 0)) for row in rows)
    assert weights(tmp_path / "run", 2)["step"] == 6
    assert all(0 <= row[f"linear_acc_{share}"] <= 1 for row in rows for share in ("10pct", "50pct"))
    tuned = {"finetune_acc_10pct", "finetune_acc_50pct"}
    assert [tuned <= row.keys() for row in rows] == [False, False, True]
    assert result.figures == {
        name: rows[-1][name] for name in ("knn_acc", "linear_acc_10pct", "linear_acc_50pct", *tuned)
    }

    client = MlflowClient(config.mlflow.tracking_uri)
    [run] = client.search_runs([client.get_experiment_by_name("clipgan").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["simclr.network"] == "tiny"
    history = client.get_metric_history(run.info.run_id, "linear_acc")
    assert [(metric.step, metric.value) for metric in history] == reported
    assert run.data.metrics["finetune_acc_10pct"] == rows[-1]["finetune_acc_10pct"]


@pytest.mark.slow
def test_resuming_changes_no_bit(configure, tmp_path):
    few = ("simclr.few_labels=[0.5]", "simclr.finetune.when=snapshot", "simclr.finetune.epochs=1")
    three = ("epochs=3", "simclr.head=bn", "simclr.views=3", *few)
    train(configure(*three), tmp_path / "whole")
    assert train(configure(*three), tmp_path / "parts", report=lambda value, epoch: epoch == 1).stopped
    assert not (tmp_path / "parts" / "checkpoint-000002.pt").exists()
    later = ("simclr.few_labels=[0.5,0.25]", "snapshot_epochs=3")  # what is measured may change, the training may not
    train(configure(*three, *later), tmp_path / "parts")
    assert_same(weights(tmp_path / "parts", 3), weights(tmp_path / "whole", 3))
    whole, parts = repeatable(tmp_path / "whole"), repeatable(tmp_path / "parts")
    for name in ("linear_acc", "linear_acc_50pct", "finetune_acc_50pct"):
        assert parts[3][name] == whole[3][name]
    assert "linear_acc_25pct" in parts[3]
    assert [row["loss/nt_xent"] for row in parts[1:]] == [row["loss/nt_xent"] for row in whole[1:]]
    with pytest.raises(UserError, match="of another run: epochs=3 there, 4 here"):
        train(configure(*three, "epochs=4"), tmp_path / "parts")
    with pytest.raises(UserError, match="is of task=simclr, and one of task=gan is needed"):
        read_initial(make_config(f"init={tmp_path}/parts/checkpoint-000003.pt"))


@pytest.mark.slow
def test_changed_data_are_refused_before_clip_is_trained(configure, tmp_path, monkeypatch):
    config = configure("epochs=1", "pairs=add_new_positive", "simclr.linear.epochs=1")
    train(config, tmp_path)
    path = tmp_path / "checkpoint-000001.pt"
    checkpoint = load_checkpoint(path, CPU, task="simclr")
    save_checkpoint(path, checkpoint | {"sources": checkpoint["sources"] | {"data.content": "another"}})
    for name in ("load_clip", "load_features"):
        monkeypatch.setattr(pretraining, name, lambda *args, **kwargs: pytest.fail("this takes hours"))
    with pytest.raises(UserError, match=r"000001\.pt: images or captions of data=shapes have changed"):
        train(config, tmp_path)


@pytest.mark.slow
def test_a_signal_leaves_a_checkpoint_between_epochs(configure, tmp_path, monkeypatch):
    train(configure("epochs=2", "snapshot_epochs=2"), tmp_path / "whole")
    step = Pretraining.step

    def interrupted(self, number):
        if number == 3:
            signal.raise_signal(signal.SIGTERM)
        return step(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "step", interrupted)
        with pytest.raises(Interrupted):
            train(configure("epochs=2", "snapshot_epochs=2"), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run" / "latest.pt", CPU, task="simclr")["state"]["step"] == 4
    train(configure("epochs=2", "snapshot_epochs=2"), tmp_path / "run")
    assert_same(weights(tmp_path / "run", 2), weights(tmp_path / "whole", 2))
    assert repeatable(tmp_path / "run")[-1] == repeatable(tmp_path / "whole")[-1]


def command(tmp_path, *arguments):
    done = warm.run(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FutureWarning" not in done.stderr, done.stderr  # of PyTorch, to its callers
    return done.stdout


@pytest.mark.endurance
def test_a_sweep_over_pairs_maximises(cache_dir, tmp_path):
    overrides = ["-m", *tiny_simclr(cache_dir, "pairs=plain,add_new_positive", "hydra.sweeper.workers=1", "epochs=1")]
    out = command(tmp_path, *overrides)
    [summary] = optuna.get_all_study_summaries(f"sqlite:///{tmp_path}/sweeps.db")
    study = optuna.load_study(study_name=summary.study_name, storage=f"sqlite:///{tmp_path}/sweeps.db")
    assert study.direction.name == "MAXIMIZE"
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 2
    assert all(set(trial.intermediate_values) == {0, 1} for trial in study.trials)
    assert "sec_per_epoch" in out
    leader = max(study.trials, key=lambda trial: trial.value)
    assert f"best: trial {leader.number}" in out


@pytest.mark.endurance
def test_two_processes_pretrain_what_one_does(configure, cache_dir, tmp_path):
    """The statistics of BatchNorm are those of the whole batch, and so is the contrast."""
    once = ("pairs=drop_easy_negative", "batch=96", "epochs=1", "mlflow.tracking_uri=null",  # one step
            "simclr.head=bn", "simclr.views=3")  # fmt: skip
    train(configure(*once), tmp_path / "one")
    command(tmp_path, *tiny_simclr(cache_dir, *once, "processes=2", "hydra.run.dir=two"))
    one, two = (repeatable(tmp_path / name) for name in ("one", "two"))
    assert two[0] == one[0]
    assert two[1]["loss/nt_xent"] == pytest.approx(one[1]["loss/nt_xent"], rel=1e-5)
    before = weights(tmp_path / "one", 0)["network"]
    first, second = (weights(tmp_path / name, 1)["network"] for name in ("one", "two"))
    # torch's own BatchNorm rounds to 4e-6 in channels_last, and ReLUs that turn make this 1 to 2 % of a gradient here
    for key, value in first.items():
        change = (value - before[key]).double().norm()
        assert (second[key] - value).double().norm() <= 0.1 * change + 1e-7, key


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["h=0.5"], "h is not read by task=simclr"),
        (["metrics.kid=never"], r"metrics.kid is not read"),
        (["epochs=0"], "epochs=0 is not allowed.*>= 1"),
        (["simclr.network=vgg"], "simclr.network=vgg.*tiny, resnet18, resnet50"),
        (["simclr.stem=small"], "simclr.stem=small.*auto with simclr.network=tiny"),
        (["simclr.augment.crop=0"], "simclr.augment.crop=0.0.*more than 0"),
        (["simclr.augment.blur=2"], "simclr.augment.blur=2.0.*between 0 and 1"),
        (["simclr.temperature=0"], "simclr.temperature=0.0"),
        (["simclr.classes=[shape,shape]"], "none twice"),
        (["simclr.classes=[weight]"], "simclr.classes=weight.*shape, colour"),
        (["accumulate=3"], "accumulate=3.*batch=32"),
        (["simclr.head=mlp"], "simclr.head=mlp.*plain, bn"),
        (["simclr.views=1"], "simclr.views=1 .*>= 2"),
        (["simclr.few_labels=[0.1,1]"], r"simclr.few_labels=1.0 .*less than 1"),
        (["simclr.few_labels=[0.1,0.1]"], r"simclr.few_labels=\[0.1,0.1\].*no share twice"),
        (["simclr.few_labels=[0.1,0.10000001]"], r"simclr.few_labels=\[0.1,0.10000001\].*no share twice"),
        (
            ["simclr.few_labels=0.1"],
            r"few_labels=0.1 is not allowed: simclr.few_labels must be a list, as in simclr.few_labels=\[0.1\]",
        ),
        (["simclr.few_labels=[few]"], r"simclr.few_labels\[0\]=few is not allowed: .*must be a number"),
        (["simclr.finetune.when=later"], "simclr.finetune.when=later.*never, end, snapshot"),
        (["simclr.finetune.when=end"], r"simclr.finetune.when=end .*never without simclr.few_labels"),
        (["simclr.finetune.lr=0"], "simclr.finetune.lr=0.0"),
        (
            ["simclr.few_labels=[0.5]", "simclr.finetune.when=end", "simclr.finetune.batch=63", "processes=2"],
            "simclr.finetune.batch=63 .*multiple of processes=2",
        ),
        (["pairs=add_new_positive", "pairs.similarity=text", "features=online"], "pairs.similarity=text.*no caption"),
        (["pairs=add_new_positive", "pairs.k=31"], "pairs.k=31.*batch=32"),
    ],
)
def test_bad_values_are_quoted(cache_dir, overrides, message):
    with pytest.raises(UserError, match=message):
        make_config(*tiny_simclr(cache_dir, *overrides))


def test_classes_of_shapes_are_no_others():
    with pytest.raises(UserError, match=r"simclr.classes is not read with data=cifar10, which has its own classes"):
        make_config("task=simclr", "data=cifar10", "data.path=X", "simclr.classes=[shape]")


def test_epochs_are_no_gans():
    with pytest.raises(UserError, match=r"epochs=3 is not allowed.*kimg"):
        make_config("+epochs=3")


def test_a_batch_larger_than_the_data_set(configure, tmp_path):
    with pytest.raises(UserError, match="batch=128 is larger than the data set: it has 96"):
        train(configure("batch=128"), tmp_path)


def test_the_papers_experiment_is_the_papers():
    config = make_config("experiment=simclr_imagenet", "data.path=IMAGENET100")
    assert (config.simclr.network, config.batch, config.epochs, config.features) == ("resnet18", 512, 100, "online")
    assert (config.simclr.temperature, config.clip.name, config.data.name) == (0.1, "ViT-B32", "imagefolder")
    assert config.simclr.lr * config.batch / 256 == pytest.approx(1.2)
