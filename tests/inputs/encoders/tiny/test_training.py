"""What the small trainings share: the schedule, the seed, and running side by side."""

import json
import math
import threading
import time

import psutil
import pytest
import torch

from clipgan.config import ClipConfig, DataConfig, TinyClipTraining, TinyResNetTraining
from clipgan.inputs.data.loading import load_data
from clipgan.inputs.encoders.tiny import side_by_side
from clipgan.inputs.encoders.tiny.side_by_side import train_side_by_side
from clipgan.inputs.encoders.tiny.tiny_clip import train_tiny_clip
from clipgan.inputs.encoders.tiny.tiny_training import seeded_on_one_thread, warmup_cosine

CPU = torch.device("cpu")


def test_schedule_rises_and_falls():
    factor = warmup_cosine(100)
    assert [factor(step) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert factor(5 + 95 // 2) == pytest.approx(0.5 * (1 + math.cos(math.pi * 47 / 95)))
    assert 0 < factor(99) < 1e-3


def test_a_training_of_one_step_has_a_rate():
    assert warmup_cosine(1)(0) == 1.0


def test_seed_and_threads_are_put_back():
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    with seeded_on_one_thread(3):
        first = torch.rand(2)
        assert torch.get_num_threads() == 1
    with seeded_on_one_thread(3):
        assert torch.equal(torch.rand(2), first)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.endurance
def test_side_by_side_trains_what_one_after_the_other_does(tmp_path, monkeypatch):
    data = DataConfig(n_train=40, n_heldout=20, x_flip=False)
    packed = load_data(data, 32, tmp_path)
    clip = TinyClipTraining(seed=0, steps=2, batch=4, lr=1e-3, min_attribute_accuracy=0.0)
    resnet = TinyResNetTraining(seed=0, steps=2, batch=4, lr=1e-3, temperature=0.2)
    monkeypatch.setattr(side_by_side, "WORTH_A_PROCESS", 1)
    entries = train_side_by_side([ClipConfig(train=clip), resnet, ClipConfig(train=clip)], data, 32, tmp_path, CPU)
    assert entries[0] == entries[2]
    assert len(set(entries)) == 2
    monkeypatch.setattr(
        side_by_side, "call_in_processes", lambda *_, **__: pytest.fail("started processes for nothing")
    )
    assert train_side_by_side([ClipConfig(train=clip), resnet], data, 32, tmp_path, CPU) == entries[:2]
    assert train_tiny_clip(clip, packed, tmp_path) == entries[0]
    alone = train_tiny_clip(clip, packed, tmp_path / "elsewhere")
    reports = [json.loads((entry / "report.json").read_text()) for entry in (entries[0], alone)]
    assert reports[0]["last_loss"] == reports[1]["last_loss"]
    assert reports[0]["attribute_accuracy"] == reports[1]["attribute_accuracy"]


def test_a_gpu_that_serves_one_process_trains_one_after_the_other(tmp_path, monkeypatch, capsys):
    data = DataConfig(n_train=40, n_heldout=20, x_flip=False)
    clip = TinyClipTraining(steps=2, batch=4, min_attribute_accuracy=0.0)
    monkeypatch.setattr(side_by_side, "WORTH_A_PROCESS", 1)
    monkeypatch.setattr(side_by_side, "allows_one_process", lambda device: True)
    monkeypatch.setattr(side_by_side, "call_in_processes", lambda *_, **__: pytest.fail("started a process"))
    entries = train_side_by_side(
        [ClipConfig(train=clip), TinyResNetTraining(steps=2, batch=4)], data, 32, tmp_path, CPU
    )
    assert all(entry.is_dir() for entry in entries)
    assert "the encoders train one by one: cpu is in compute mode EXCLUSIVE_PROCESS" in capsys.readouterr().out


@pytest.mark.slow
def test_the_death_of_a_process_that_trains_costs_time_alone(tmp_path, monkeypatch, capsys):
    """One of the two is killed for real; what it was to train is trained here."""
    monkeypatch.setattr(side_by_side, "WORTH_A_PROCESS", 1)
    data = DataConfig(n_train=96, n_heldout=32)
    clip = TinyClipTraining(steps=2, batch=8, min_attribute_accuracy=0)

    def kill_one():
        me, deadline = psutil.Process(), time.monotonic() + 60
        while time.monotonic() < deadline:
            for child in me.children():
                if "spawn_main" in " ".join(child.cmdline()):
                    return child.kill()
            time.sleep(0.01)

    killer = threading.Thread(target=kill_one)
    killer.start()
    entries = train_side_by_side(
        [ClipConfig(train=clip), TinyResNetTraining(steps=2, batch=8)], data, 32, tmp_path, CPU
    )
    killer.join()
    assert "has died" in capsys.readouterr().out
    assert all((entry / "entry.json").exists() for entry in entries)


@pytest.mark.slow
def test_a_few_seconds_of_training_tell_colours(shapes_data, tmp_path):
    config = TinyClipTraining(steps=100, batch=32, lr=1e-3, min_attribute_accuracy=0.0)
    entry = train_tiny_clip(config, shapes_data, tmp_path)
    accuracy = json.loads((entry / "report.json").read_text())["attribute_accuracy"]
    assert accuracy["colour"] > 0.75
    assert accuracy["background"] > 0.9
