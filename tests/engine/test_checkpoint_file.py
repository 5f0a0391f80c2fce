"""A damaged checkpoint is noticed, a write that is cut short leaves the old file, and no file executes code."""

import errno
import random
import sys
import time
from pathlib import Path

import pytest
import torch

from clipgan.base.errors import UserError
from clipgan.base.text import why_unreadable
from clipgan.engine.checkpoint_file import checkpoint_path, load_checkpoint, save_checkpoint
from clipgan.tasks.train import train
from tests import warm
from tests.disks import resize, small_disk
from tests.engine.checkpoints import content
from tests.helpers import ROOT, make_config
from tests.tiny import tiny

CPU = torch.device("cpu")
FOREIGN = "it is no file of PyTorch, or one of an old version"


@pytest.mark.parametrize("place", [0.01, 0.2, 0.5, 0.9, 1.0])
def test_an_altered_byte_is_noticed(tmp_path, place):
    path = tmp_path / "checkpoint-000001.pt"
    save_checkpoint(path, content())
    data = bytearray(path.read_bytes())
    data[round(place * (len(data) - 1))] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"checkpoint .*000001\.pt is damaged: .* \(SHA-256\)"):
        load_checkpoint(path, CPU)


@pytest.mark.parametrize("place", [0, -71])
def test_an_altered_mark_is_noticed(tmp_path, place):
    path = tmp_path / "checkpoint-000001.pt"
    save_checkpoint(path, content())
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="is damaged"):
        load_checkpoint(path, CPU)


@pytest.mark.parametrize("kept", [0, 10, 500, -1, -80])
def test_a_cut_file_is_noticed(tmp_path, kept):
    path = tmp_path / "checkpoint-000001.pt"
    save_checkpoint(path, content())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match="is damaged" if kept else "cannot be loaded"):
        load_checkpoint(path, CPU)


def test_a_text_is_no_checkpoint(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_text("a red circle\na blue star\n")
    with pytest.raises(UserError, match=r"captions\.txt cannot be loaded: it is no file of PyTorch"):
        load_checkpoint(path, CPU)


@pytest.mark.parametrize("kind", ["legacy", "zeros", "text"])
def test_a_file_without_a_checksum_that_is_no_archive_is_not_resumed(tmp_path, kind):
    path = tmp_path / "c.pt"
    save_checkpoint(path, content())
    if kind == "legacy":
        torch.save(torch.load(path), path, _use_new_zipfile_serialization=False)
    else:
        path.write_bytes(bytes(10000) if kind == "zeros" else b"a red circle\na blue star\n")
    with pytest.raises(UserError, match=r"c\.pt is damaged, or no checkpoint: it has no checksum at its end$"):
        load_checkpoint(path, CPU, checksum=True)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (EOFError(), "it is empty, or its end is missing"),
        (RuntimeError("PytorchStreamReader failed reading zip archive"), "it is damaged, or its end is missing"),
        (RuntimeError("mmap can only be used with `_use_new_zipfile_serialization=True`"), FOREIGN),
        (RuntimeError("Cannot use ``weights_only=True`` with files saved in the legacy .tar format"), FOREIGN),
        (KeyError("a"), FOREIGN),
        (ValueError("another reason\nmore"), "another reason"),
    ],
)
def test_why_a_file_is_unreadable(error, reason):
    assert why_unreadable(error) == reason


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path):
    with small_disk(tmp_path / "disk", kib=200) as disk:
        path = disk / "checkpoint-000001.pt"
        save_checkpoint(path, content())
        with pytest.raises(OSError, match="No space left") as raised:
            save_checkpoint(path, content(size=10**5))
        assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(path))
        assert [entry.name for entry in disk.iterdir()] == [path.name]
        assert load_checkpoint(path, CPU)["state"]["generator"].shape == (1000,)


def save_without_end(path: Path) -> None:
    while True:
        save_checkpoint(path, content(size=10**6))


@pytest.mark.slow
def test_a_kill_during_the_write_leaves_a_good_checkpoint(tmp_path):
    generator, path, partial, kills = random.Random(0), tmp_path / "checkpoint-000001.pt", 0, 0
    while kills < 3 or (partial == 0 and kills < 50):
        before = path.exists() and path.stat().st_mtime_ns
        process = warm.call(save_without_end, path)
        while not path.exists() or path.stat().st_mtime_ns == before:  # a busy machine may take long to begin
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(generator.uniform(0.0, 0.3))
        process.kill()
        process.wait()
        kills += 1
        partial += any(tmp_path.glob(f"{path.name}.*.partial"))
        assert load_checkpoint(path, CPU)["state"]["generator"].shape == (10**6,)
    assert partial > 0  # a kill came while a file was being written


def test_a_checkpoint_never_executes_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("executed",))

    torch.save({"state": Evil()}, tmp_path / "checkpoint-000001.pt")
    with pytest.raises(UserError, match=r"holds more than tensors and plain data.*nothing of it is executed"):
        load_checkpoint(tmp_path / "checkpoint-000001.pt", CPU)


def test_a_checkpoint_without_a_network_is_one_message(tmp_path):
    save_checkpoint(tmp_path / "c.pt", content(state={"step": 1}))
    with pytest.raises(UserError, match="from another version: its state or its config lacks a part"):
        load_checkpoint(tmp_path / "c.pt", CPU)


ODD = {
    "history": ["x", [1], [[1, "x"]], {"a": 1}],
    "train_seconds": ["x", None],
    "sources": [3],
    "config": [{"model": {}, "clip": {}, "resolution": 16, 3: 4}],
    "step": ["x", -1, None],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in ODD.items() for value in values])
def test_a_checkpoint_with_odd_values_is_one_message(tmp_path, key, value):
    odd = content()
    (odd["state"] if key == "step" else odd)[key] = value
    save_checkpoint(tmp_path / "c.pt", odd)
    with pytest.raises(UserError, match=r"checkpoint .*c\.pt is from another version: its step, history or sources"):
        load_checkpoint(tmp_path / "c.pt", CPU)


def test_a_file_of_another_kind_is_one_message(tmp_path):
    torch.save({"weights": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(UserError, match="not from this project"):
        load_checkpoint(tmp_path / "other.pt", CPU)


@pytest.mark.slow
def test_a_checkpoint_of_another_version_is_one_message(cache_dir, tmp_path):
    config = make_config(*tiny(cache_dir, "kimg=1", "mlflow.tracking_uri=null"))
    train(config, tmp_path)
    whole = load_checkpoint(checkpoint_path(tmp_path, 1), CPU)
    other = {name: value for name, value in whole["state"]["discriminator"].items() if "from_rgb" not in name}
    for state, words in (
        ({key: value for key, value in whole["state"].items() if key != "scaler"}, "'scaler'"),
        ({**whole["state"], "discriminator": other}, "Discriminator"),
    ):
        save_checkpoint(tmp_path / "latest.pt", {**whole, "state": {**state, "step": 1000}})
        message = rf"latest\.pt is of another version: .*{words}.*; resume=none starts over"
        with pytest.raises(UserError, match=message):
            train(config, tmp_path)


@pytest.mark.slow
def test_a_full_disk_ends_a_run_with_one_message_and_the_run_resumes(cache_dir, tmp_path):
    """The disk has room for one checkpoint and half of another; then it has more."""
    with small_disk(tmp_path / "disk", kib=2000) as disk:
        command = [sys.executable, str(ROOT / "train.py"), *tiny(cache_dir, "kimg=1"),
                   "mlflow.tracking_uri=null", f"hydra.run.dir={disk}/run"]  # fmt: skip
        full = warm.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
        assert full.returncode == 1
        assert "checkpoint-000001.pt cannot be written (No space left on device)" in full.stderr
        assert "Traceback" not in full.stderr
        assert load_checkpoint(disk / "run" / "checkpoint-000000.pt", CPU)["state"]["step"] == 0
        resize(disk, 20000)
        again = warm.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
        assert again.returncode == 0, again.stderr
        assert "resumed at 0 kimg" in again.stdout
