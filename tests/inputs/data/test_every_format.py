"""Each data format from its files to pictures, by the commands that a user types: prepare, train 2 kimg, sample."""

import json
import sys

import pytest
import torch
from PIL import Image

from clipgan.config import ClipConfig
from clipgan.inputs.encoders.clip import load_clip
from clipgan.inputs.encoders.tiny.tiny_clip import TINY_MODEL, build_clip, register_tiny_model
from clipgan.inputs.features.encoding import to_images
from tests import warm
from tests.helpers import ROOT
from tests.inputs.data import samples
from tests.tiny import tiny

CPU = torch.device("cpu")


def folder(root):
    for k in range(60):
        samples.put(root / f"{k}.png", samples.picture(k % 25))
        samples.put(root / f"{k}.txt", f"number {k}\n")
    return root


def zip_of_features(path, clip):
    """A zip without words: features of this CLIP are all that it has of the captions."""

    @torch.no_grad()
    def features(k):
        pixels = torch.tensor([min(10 * k, 255), 0, 0], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 16, 16)
        return clip.encode_image(to_images(pixels.numpy(), CPU))[0].numpy(), list(clip.encode_text([f"number {k}"]))

    return samples.lafite_zip(path, count=60, features=features)


FORMATS = {
    "folder": lambda root, clip: folder(root),
    "metadata": lambda root, clip: samples.imagefolder_jsonl(root, count=16),
    "coco": lambda root, clip: samples.coco(root, n_train=16, n_val=9),
    "cub": lambda root, clip: samples.cub(root, per_class=30),
    "celeba_hq": lambda root, clip: samples.celeba_hq(root, count=60, n_test=10),
    "webdataset": lambda root, clip: samples.img2dataset(root, per_shard=30),
    "lafite_zip": lambda root, clip: zip_of_features(root / "set.zip", clip),
    "lafite_zip with words": lambda root, clip: samples.lafite_zip(root / "set.zip", count=60, words=True),
}


@pytest.fixture
def weights(tmp_path):
    register_tiny_model()
    for seed, model in enumerate((TINY_MODEL, "clipgan-tiny64")):
        torch.manual_seed(seed)
        torch.save(build_clip(model).state_dict(), tmp_path / f"clip{seed}.pt")
    return [f"clip.checkpoint={tmp_path}/clip0.pt", f"metrics.judge.checkpoint={tmp_path}/clip1.pt"]


def run(folder, *command):
    done = warm.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.endurance
@pytest.mark.parametrize("name", list(FORMATS))
def test_prepare_train_sample(name, weights, cache_dir, tmp_path):
    clip = load_clip(ClipConfig(checkpoint=str(tmp_path / "clip0.pt")), None, tmp_path, CPU)
    path = FORMATS[name](tmp_path / "set", clip)
    settings = [text for text in tiny(cache_dir) if not text.startswith(("data.", "batch=", "clip.", "metrics.judge"))]
    settings += ["batch=16", f"data={name.split()[0]}", f"data.path={path}", "mlflow.tracking_uri=null", *weights]
    assert "images, ready" in run(tmp_path, "-m", "clipgan.prepare", *settings)
    out = run(tmp_path, str(ROOT / "train.py"), *settings, "hydra.run.dir=run")
    assert "packing" not in out  # it was prepared
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 2
    assert any(value > 0 for key, value in last.items() if key.startswith("fid32_"))
    run(tmp_path, "-m", "clipgan.sample", "ckpt=run/checkpoint-000002.pt", "prompts=a red bird", "seeds=0-1", "out=out")
    pictures = sorted((tmp_path / "out").glob("*seed*.png"))
    assert [Image.open(picture).size for picture in pictures] == [(16, 16)] * 2
