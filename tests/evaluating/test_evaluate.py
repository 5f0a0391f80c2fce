"""`clipgan.evaluate`: the training's figures again, those of the pictures of clipgan.sample, and a killed one."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from mlflow import MlflowClient
from PIL import Image

from clipgan import api
from clipgan.base.errors import UserError
from clipgan.engine.checkpoint_file import load_checkpoint, save_checkpoint
from clipgan.evaluate import evaluate
from clipgan.evaluating.measuring import Measured
from clipgan.evaluating.options import parse
from clipgan.evaluating.results import log_to_mlflow
from clipgan.metrics import evaluation
from clipgan.sample import sample
from clipgan.sampling.options import parse as parse_sample
from clipgan.tracking.mlflow_run import RUN_ID_FILE, URI_FILE
from tests.helpers import ROOT
from tests.tiny import tiny

ALL = "metrics=[fid,kid,precision_recall,density_coverage,clip_score,r_precision,accuracy]"
PROMPTS = "prompts=a big red circle on a white background;a small blue star on a black background"


def values(folder):
    found = json.loads((folder / "metrics.json").read_text())["evaluations"]
    return [each["metrics"] for each in found]


def refused(*arguments):
    with pytest.raises(UserError) as caught:
        evaluate(parse(arguments))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def again(cache_dir, tmp_path):
    """Settings that find the training's cache."""
    return f"cache_dir={cache_dir}", "mlflow.tracking_uri=null", f"out={tmp_path / 'out'}"


@pytest.mark.slow
def test_a_checkpoint_has_the_figures_of_its_training(run, again, tmp_path, capsys):
    evaluate(parse([f"ckpt={run.checkpoint}", *again]))
    [found] = values(tmp_path / "out")
    recorded = json.loads((run.folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert "fid32_clip_tiny64_sd" in found
    for name, value in found.items():
        assert value == pytest.approx(recorded[name], rel=1e-3, abs=1e-6), name  # the text says 'equal' for equal bits
    assert "fid32_clip_tiny64" in capsys.readouterr().out


def test_the_python_function_has_the_figures_of_the_command(run, again, tmp_path):
    evaluate(parse([f"ckpt={run.checkpoint}", "metrics=[kid,accuracy]", *again]))
    found = api.evaluate(checkpoint=run.checkpoint, metrics=["kid", "accuracy"])
    assert [found] == values(tmp_path / "out")
    with pytest.raises(UserError, match="there is no metric kidd; close names: kid"):
        api.evaluate(checkpoint=run.checkpoint, metrics=["kidd"])
    with pytest.raises(UserError, match="give exactly one of the two"):
        api.evaluate()
    with pytest.raises(UserError, match="gone"):
        api.evaluate(checkpoint=tmp_path / "gone.pt")


def test_a_misspelt_setting_of_the_command_is_suggested(run, again):
    """Beside those of the training, of which one may be as close."""
    assert "no key promts: did you mean prompts?" in refused(f"ckpt={run.checkpoint}", "promts=a", *again)


def test_another_protocol_has_its_own_judge(run, again, tmp_path):
    small = ("metrics.judge.train.steps=2", "metrics.judge.train.min_attribute_accuracy=0", "metrics.n_images=32")
    evaluate(parse([f"ckpt={run.checkpoint}", "protocol=fid2k_clip_tiny", "metrics=[fid]", *small, *again]))
    assert [*values(tmp_path / "out")[0]] == ["fid32_clip_tiny"]


def test_a_protocol_of_an_own_folder(run, again, tmp_path, monkeypatch):
    """It is read as in a training, and a misspelt one is refused with the own one among the options."""
    monkeypatch.chdir(tmp_path)
    protocol = tmp_path / "my" / "metrics" / "mine.yaml"
    protocol.parent.mkdir(parents=True)
    protocol.write_text("defaults: [fid2k_clip_tiny64]\nname: mine\nn_images: 24\njudge: {train: {steps: 2}}\n")
    place = "hydra.searchpath=[file://my]"
    judge = "metrics.judge.train.min_attribute_accuracy=0"
    evaluate(parse([f"ckpt={run.checkpoint}", place, "protocol=mine", "metrics=[fid]", judge, *again]))
    assert [*values(tmp_path / "out")[0]] == ["fid24_clip_tiny64"]
    assert "protocol must be one of fid2k_clip_tiny, " in refused(f"ckpt={run.checkpoint}", place, "protocol=main")
    assert ", mine" in refused(f"ckpt={run.checkpoint}", place, "protocol=main")
    protocol.with_name("fid5k.yaml").write_text("name: fid5k\n")
    said = refused(f"ckpt={run.checkpoint}", place, "protocol=mine", *again)
    assert said.startswith("my/metrics/fid5k.yaml would not be read")


def test_a_run_gets_the_metrics_in_mlflow_and_curves_of_all_snapshots(run, cache_dir, tmp_path):
    at = f"mlflow.tracking_uri={run.tracking_uri}"
    evaluate(parse([f"run={run.id}", "snapshots=all", "metrics=[density_coverage]", at, f"cache_dir={cache_dir}",
                    f"out={tmp_path}"]))  # fmt: skip
    found = values(tmp_path)
    assert len(found) == 2
    history = MlflowClient(run.tracking_uri).get_metric_history(run.id, "density32_clip_tiny64")
    assert {metric.step: metric.value for metric in history} == {
        step: each["density32_clip_tiny64"] for step, each in enumerate(found)
    }
    page = (tmp_path / "curves.html").read_text()
    assert "density32_clip_tiny64" in page
    assert ' src="http' not in page  # it needs no network; the script in it may say .src="http"


def test_metrics_of_own_prompts_stay_out_of_the_run(run, cache_dir, tmp_path, capsys):
    """They have the names of the training's metrics, which are of the protocol's prompts."""
    client, name = MlflowClient(run.tracking_uri), "clip_score_clip_tiny64"
    before = client.get_metric_history(run.id, name)
    at = f"mlflow.tracking_uri={run.tracking_uri}"
    evaluate(parse([f"run={run.id}", PROMPTS, "seeds=0-1", "metrics=[clip_score]", at, f"cache_dir={cache_dir}",
                    f"out={tmp_path}"]))  # fmt: skip
    assert "MLflow gets no metric" in capsys.readouterr().out
    [metrics] = values(tmp_path)
    assert [*metrics] == [name]
    assert client.get_metric_history(run.id, name) == before


def test_no_database_is_made_to_look_for_a_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    log_to_mlflow(Measured("run", 1, {"fid": 1.0}, {}, seconds=1.0, peak_memory_gb=1.0), "abc", "sqlite:///mlflow.db")
    told = "the metrics of run abc are not logged: there is no MLflow at sqlite:///mlflow.db; give another with mlflow."
    assert capsys.readouterr().out.startswith(told)
    assert not [*tmp_path.iterdir()]


def test_pictures_of_clipgan_sample_have_the_figures_of_their_checkpoint(run, cache_dir, tmp_path, again):
    """Both round to bytes by the same function, and a PNG keeps the bytes."""
    given = [f"ckpt={run.checkpoint}", PROMPTS, "seeds=0-4"]
    sample(parse_sample([*given, f"out={tmp_path / 'pictures'}"]))
    evaluate(parse([*given, ALL, *again]))
    settings = [f"images={tmp_path / 'pictures'}", ALL, *tiny(cache_dir, "metrics.n_images=10")]
    evaluate(parse([*settings, f"out={tmp_path / 'of_files'}"]))
    assert values(tmp_path / "of_files") == values(tmp_path / "out")
    few = [*settings[:-1], "metrics.n_images=11"]
    assert "has 10 images, and 11 are needed" in refused(*few[:2], *tiny(cache_dir, "metrics.n_images=11"))
    (tmp_path / "captions.txt").write_text("a bird\n")
    assert "captions.txt has 1 caption, and" in refused(f"captions={tmp_path / 'captions.txt'}", *settings)
    assert "metrics=[fid_sd] needs a generator" in refused(
        settings[0], "metrics=[fid_sd]", *tiny(cache_dir, "metrics.n_images=10")
    )


def test_a_killed_evaluation_goes_on(run, again, tmp_path, monkeypatch):
    """It is interrupted after the first of two groups of images; the second command makes the second group alone."""
    made = []
    generate = evaluation.generate

    def interrupted(generator, conditions, chunks, *rest):
        if made:
            raise KeyboardInterrupt
        made.append(chunks)
        return generate(generator, conditions, chunks, *rest)

    def counted(generator, conditions, chunks, *rest):
        made.append(chunks)
        return generate(generator, conditions, chunks, *rest)

    settings = [f"ckpt={run.checkpoint}", "metrics=[fid]", "metrics.n_images=300", *again]
    monkeypatch.setattr(evaluation, "generate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(parse(settings))
    monkeypatch.setattr(evaluation, "generate", counted)
    evaluate(parse(settings))
    assert made == [range(3), range(3, 6)]
    evaluate(parse(settings))  # finished: nothing is made again
    assert len(made) == 2
    whole = values(tmp_path / "out")
    monkeypatch.setattr(evaluation, "generate", generate)
    evaluate(parse([*settings, "metrics.batch=100"]))  # another entry of the cache
    [name] = whole[0]
    assert values(tmp_path / "out")[0][name] == pytest.approx(whole[0][name], rel=1e-3)


def test_a_checkpoint_of_another_clip_is_refused(run, again, tmp_path):
    content = load_checkpoint(run.checkpoint, torch.device("cpu"))
    content["clip"] = {"key": "other", "file": str(tmp_path / "gone")}
    save_checkpoint(tmp_path / "other.pt", content)
    message = refused(f"ckpt={tmp_path / 'other.pt'}", *again)
    assert "was trained with other weights of clip=tiny than are here" in message
    message = refused(f"ckpt={run.checkpoint}", "clip=tiny64", *again)
    assert "clip.model=clipgan-tiny64 is not allowed" in message
    assert "was trained with clipgan-tiny;" in message


@pytest.mark.parametrize(
    ("key", "words", "given"),
    [
        ("data.content", "other images or captions than data=shapes has now", "data.name=shapes"),
        ("judge.key", "was judged by other weights than those that are here", "metrics.judge.name=tiny64"),
    ],
)
def test_what_has_changed_since_the_training_is_refused_or_stays_out_of_its_run(
    run, cache_dir, tmp_path, capsys, key, words, given
):
    content = load_checkpoint(run.checkpoint, torch.device("cpu"))
    assert content["sources"][key]
    content["sources"][key] = "other"
    (tmp_path / "run").mkdir()
    save_checkpoint(tmp_path / "run" / "other.pt", content)
    for name in (RUN_ID_FILE, URI_FILE):
        shutil.copy(run.folder / name, tmp_path / "run")
    settings = [f"ckpt={tmp_path / 'run' / 'other.pt'}", "metrics=[precision_recall]", f"out={tmp_path / 'out'}"]
    settings += [f"cache_dir={cache_dir}", f"mlflow.tracking_uri={run.tracking_uri}"]
    message = refused(*settings)
    assert words in message
    assert f"or {given} to measure with those that are here" in message
    client, name = MlflowClient(run.tracking_uri), "precision32_clip_tiny64"
    before = client.get_metric_history(run.id, name)
    evaluate(parse([*settings, given]))
    assert "MLflow gets no metric" in capsys.readouterr().out
    [metrics] = values(tmp_path / "out")
    assert name in metrics
    assert client.get_metric_history(run.id, name) == before
    if key == "judge.key":
        evaluate(parse([settings[0], "metrics=[accuracy]", *settings[2:]]))  # no judge reads these
        assert "MLflow gets no metric" not in capsys.readouterr().out


def test_missing_weights_are_named_with_the_file_to_bring(run, again):
    dino = refused(f"ckpt={run.checkpoint}", "metrics=[fd_dinov2]", *again)
    assert "timm/vit_large_patch14_dinov2.lvd142m" in dino
    assert "metrics.dinov2_weights=FILE" in dino
    clip = refused(f"ckpt={run.checkpoint}", "metrics=[cmmd]", *again)
    assert "metrics.cmmd_weights=FILE" in clip
    inception = refused(f"ckpt={run.checkpoint}", "metrics=[fid]", "protocol=fid30k_lafite",
                        "metrics.inception_weights=/nowhere", *again)  # fmt: skip
    assert "/nowhere does not exist" in inception


def test_a_single_picture_is_refused(tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    assert refused(f"images={tmp_path}") == f"images={tmp_path} has one image, and metrics need at least 2"


def test_pictures_are_refused_before_a_judge_is_trained(tmp_path):
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        Image.new("RGB", (16, 16), (number, 0, 0)).save(tmp_path / "pictures" / f"{number}.png")
    cache = tmp_path / "cache"
    settings = [f"images={tmp_path / 'pictures'}", *tiny(cache, "metrics.n_images=3")]
    assert "metrics=[fid_sd] needs a generator" in refused("metrics=[fid_sd]", *settings)
    assert not cache.exists()
    assert "needs at least 4 images of both kinds, and there are 3" in refused("metrics=[precision_recall]", *settings)
    assert not (cache / "clip").exists()


@pytest.mark.endurance
def test_two_processes_find_what_one_does(run, cache_dir, tmp_path):
    """As commands, because each process of a command is a new one."""
    given = [f"ckpt={run.checkpoint}", "metrics=[fid,accuracy]", "metrics.n_images=300", "device=cpu",
             f"cache_dir={cache_dir}", "mlflow.tracking_uri=null"]  # fmt: skip
    command = [sys.executable, "-m", "clipgan.evaluate", *given]
    for processes in (1, 2):
        settings = [f"processes={processes}", f"metrics.batch={200 + processes}", f"out={tmp_path / str(processes)}"]
        subprocess.run([*command, *settings], cwd=ROOT, check=True)
    [one], [two] = values(tmp_path / "1"), values(tmp_path / "2")
    assert one == pytest.approx(two, rel=1e-3)
