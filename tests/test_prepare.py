"""`python -m clipgan.prepare` killed in the middle, and run again by two processes at once; a damaged cache."""

import json
import signal
import sys
import time

import numpy as np
import pytest
import torch

from clipgan.inputs.encoders.tiny.tiny_clip import TINY_MODEL, build_clip, register_tiny_model
from clipgan.inputs.features.encoding import to_images
from clipgan.inputs.features.feature_writer import ROW_ERROR
from clipgan.tasks.gan.preparation import prepare
from tests import warm
from tests.helpers import ROOT, make_config
from tests.tiny import tiny

IMAGES = 2000
MARK = 0.125  # no unit-length row of the encoder is full of these


@pytest.fixture
def overrides(tmp_path):
    register_tiny_model()
    torch.manual_seed(0)
    torch.save(build_clip(TINY_MODEL).state_dict(), tmp_path / "clip.pt")
    return tiny(
        tmp_path / "cache", f"data.n_train={IMAGES}", "loss=lafite", "device=cpu", "metrics=fid2k_clip_tiny",
        f"clip.checkpoint={tmp_path}/clip.pt", f"metrics.judge.checkpoint={tmp_path}/clip.pt",
    )  # fmt: skip


def start(overrides):
    command = [sys.executable, "-m", "clipgan.prepare", *overrides]
    return warm.Popen(command, cwd=ROOT, stdout=warm.PIPE, stderr=warm.STDOUT, text=True)


def rows_done(note):
    try:
        return json.loads(note.read_text())["rows"]
    except FileNotFoundError:
        return 0


@pytest.mark.slow
def test_killed_run_again_by_two_damaged(overrides, tmp_path, capsys):
    features = tmp_path / "cache" / "features"
    process = start(overrides)
    deadline = time.monotonic() + 120
    done = 0
    while not done:  # the first chunk is noted at once
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        done = max((rows_done(note) for note in features.glob("*.partial/train_image.json")), default=0)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    [partial] = features.glob("*.partial")
    done = rows_done(partial / "train_image.json")
    assert 0 < done < IMAGES
    rows = np.load(partial / "train_image.npy", mmap_mode="r+")
    rows[0, 0] = MARK  # finished rows that are computed again would lose it
    rows.flush()

    both = [start(overrides) for _ in range(2)]
    said = [process.communicate(timeout=240)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum(f"CLIP features of train images: resuming at {done} of {IMAGES}" in text for text in said) == 1
    [entry] = [path for path in features.iterdir() if path.is_dir()]
    assert (np.load(entry / "train_image.npy", mmap_mode="r")[0, 0] == MARK).all()

    path = entry / "train_image.npy"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    prepared = prepare(make_config(*overrides), torch.device("cpu"))
    damage = f"{entry} is damaged (train_image.npy has other content than was written): rebuilding it"
    assert damage in capsys.readouterr().out
    with torch.no_grad():
        expected = prepared.clip.encode_image(to_images(prepared.data.train.images, torch.device("cpu"))).numpy()
    moved = np.linalg.norm(prepared.features.train.clip_image[0].astype(np.float32) - expected, axis=1)
    assert moved.max() <= ROW_ERROR + 1e-5
