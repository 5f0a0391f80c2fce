"""Language-free training: a folder without captions from end to end, and the messages if captions are needed."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from clipgan.base.errors import UserError
from clipgan.config import ClipConfig, ConditionConfig
from clipgan.inputs.encoders.clip import load_clip
from clipgan.inputs.encoders.tiny.tiny_clip import build_clip, register_tiny_model
from clipgan.inputs.features.evaluation_conditions import prompts
from clipgan.inputs.features.feature_cache import SplitFeatures
from clipgan.tasks.train import train
from tests.helpers import make_config
from tests.inputs.data import samples
from tests.tiny import tiny


@pytest.fixture
def pictures(tmp_path):
    """A folder of 40 pictures without captions."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(40):
        pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def given_clips(tmp_path):
    """Weights of two small CLIPs, as files: they cannot be trained on pictures without captions."""
    register_tiny_model()
    overrides = []
    models = {"clip.checkpoint": "clipgan-tiny", "metrics.judge.checkpoint": "clipgan-tiny64"}
    for seed, (key, model) in enumerate(models.items()):
        torch.manual_seed(seed)
        path = tmp_path / f"clip{seed}.pt"
        torch.save(build_clip(model).state_dict(), path)
        overrides.append(f"{key}={path}")
    return overrides


def configure(cache_dir, pictures, *overrides):
    small = [text for text in tiny(cache_dir) if not text.startswith("data.")]
    return make_config(
        *small, "data=folder", f"data.path={pictures}", "batch=32", "kimg=1", "mlflow.tracking_uri=null", *overrides
    )


@pytest.mark.numeric
def test_prompts_without_captions_are_pseudo_texts():
    image = torch.nn.functional.normalize(torch.randn(300, 64), dim=1)
    features = SplitFeatures(np.zeros(301, dtype=np.int64), np.empty((0, 64), np.float32), image[None].numpy(), None)
    conditions = prompts(features, ConditionConfig(image_noise=0.75), 0)
    assert float((conditions * image).sum(dim=1).mean()) == pytest.approx(1 / (1 + 0.75**2) ** 0.5, abs=0.02)
    torch.testing.assert_close(conditions, prompts(features, ConditionConfig(image_noise=0.75), 0))


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["symmetric", "lafite"])
def test_a_folder_without_captions_trains(cache_dir, tmp_path, pictures, given_clips, loss, capsys):
    config = configure(cache_dir, pictures, "condition=language_free", f"loss={loss}", *given_clips)
    train(config, tmp_path / "run")
    first, last = (json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert last["fid32_train_clip_tiny64"] > 0
    assert not any(key.startswith(("r_precision", "clip_score")) for key in last)  # there is no caption to find
    said = (
        "data=folder has no captions of train images: metrics.clip_score and metrics.r_precision and metrics.fjd cannot"
    )
    assert capsys.readouterr().out.count(said) == 1
    assert ("text_to_resnet_r2" in first) == (loss == "symmetric")  # fitted on the images' own CLIP features
    assert (tmp_path / "run" / "samples-000001.png").is_file()


@pytest.mark.slow
def test_a_list_of_captions_asks_and_real_images_without_captions_have_no_fjd(
    cache_dir, tmp_path, pictures, given_clips, capsys
):
    (tmp_path / "list.txt").write_text("".join(f"thing {number}\n" for number in range(32)))
    asked = (f"metrics.captions={tmp_path / 'list.txt'}", "metrics.real=all")
    train(configure(cache_dir, pictures, "condition=language_free", *asked, *given_clips), tmp_path / "run")
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert [key for key in last if key.startswith("clip_score")]
    assert not [key for key in last if key.startswith("fjd")]
    assert "of train images: metrics.fjd cannot be measured, and are left out" in capsys.readouterr().out


@pytest.mark.slow
def test_one_caption_for_all_images_has_no_retrieval(cache_dir, tmp_path, pictures, given_clips, capsys):
    for index in range(40):
        (pictures / f"{index}.txt").write_text("a photo of a bird")
    config = configure(cache_dir, pictures, *given_clips)
    train(config, tmp_path / "run")
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert [key for key in last if key.startswith("clip_score")]
    assert not [key for key in last if key.startswith("r_precision")]
    assert capsys.readouterr().out.count("all prompts are one caption, among which each image would find its own") == 1
    objective = "metrics.objective=r_precision"
    with pytest.raises(UserError, match=r"objective=r_precision is not.* whose prompts are all one caption"):
        train(configure(cache_dir, pictures, objective, *given_clips), tmp_path / "other")


@pytest.mark.slow
def test_captions_without_words_condition_and_are_not_judged(cache_dir, tmp_path, given_clips, capsys):
    """Of a zip of LAFITE's without texts, the captions are known by their features alone."""
    path = given_clips[0].partition("=")[2]
    clip = load_clip(ClipConfig(checkpoint=path), None, tmp_path, torch.device("cpu"))

    def features(k):
        pixels = torch.tensor([10 * k, 0, 0]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
        with torch.no_grad():
            return clip.encode_image(pixels / 127.5 - 1)[0].numpy(), [*clip.encode_text([f"number {k}"]).numpy()]

    zipped = samples.lafite_zip(tmp_path / "set.zip", count=24, features=features)
    config = configure(cache_dir, zipped, "data=lafite_zip", f"data.path={zipped}", "batch=16",
                       "data.heldout_fraction=0.25", *given_clips)  # fmt: skip
    train(config, tmp_path / "run")
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert [key for key in last if key.startswith("fid")]
    assert not [key for key in last if key.startswith(("clip_score", "r_precision", "fjd"))]
    said = "data=lafite_zip has no words of captions of heldout images: metrics.clip_score and metrics.r_precision and"
    assert said in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], ["data=folder has no captions", "NAME.txt", "metadata.csv", "condition=language_free"]),
        (["condition=mixed"], ["data=folder has no captions", "condition=language_free"]),
        (["condition=nearest"], ["condition.pseudo_text=nearest", "data=folder has none"]),
        (["condition=language_free"], ["clip=tiny cannot be trained", "no captions", "clip.checkpoint=FILE"]),
    ],
)
def test_captions_are_asked_for_where_they_are_needed(cache_dir, tmp_path, pictures, overrides, words):
    with pytest.raises(UserError) as caught:
        train(configure(cache_dir, pictures, *overrides), tmp_path / "run")
    for word in words:
        assert word in str(caught.value)


def test_a_judge_without_captions_needs_weights(cache_dir, tmp_path, pictures, given_clips):
    config = configure(cache_dir, pictures, "condition=language_free", given_clips[0])
    with pytest.raises(UserError, match=r"metrics=fid2k_clip_tiny64.*judge\.checkpoint=FILE"):
        train(config, tmp_path / "run")
