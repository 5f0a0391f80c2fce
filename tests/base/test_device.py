"""The choice of a device, as far as a machine without a GPU can tell."""

import pytest
import torch

from clipgan.base.device import allows_one_process, choose_device
from clipgan.base.errors import UserError

CPU = torch.device("cpu")


@pytest.fixture
def current(monkeypatch):
    """The devices that become current on a machine with three GPUs, in order."""
    found = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", found.append)
    return found


def test_the_chosen_gpu_becomes_the_current_one(current):
    for name in ("cuda:1", "cuda", "auto", "cpu", "cuda:2"):
        device = choose_device(name)
        assert device == torch.device("cuda" if name == "auto" else name)
    assert current == [1, 0, 0, 2]


def test_each_process_of_a_training_makes_its_own_gpu_the_current_one(current, monkeypatch):
    for name, value in {"RANK": "5", "LOCAL_RANK": "2", "WORLD_SIZE": "6"}.items():
        monkeypatch.setenv(name, value)
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "0")
    assert choose_device("auto") == torch.device("cuda", 2)
    assert current == [2]  # and no memory of GPU 0
    with pytest.raises(UserError, match="device=cuda:1 is not allowed for 6 processes"):
        choose_device("cuda:1")


@pytest.mark.parametrize(
    ("name", "message"),
    [("cuda:3", "this machine has 3 CUDA devices"), ("tpu", "must be auto, cpu, cuda"), ("meta", "must be auto")],
)
def test_other_devices_are_refused(current, name, message):
    with pytest.raises(UserError, match=message):
        choose_device(name)
    assert current == []


def test_a_cpu_serves_several_processes():
    assert not allows_one_process(CPU)
