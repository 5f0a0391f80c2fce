"""The peak of a run's memory, in a process that has done others."""

import sys

import psutil
import pytest
import torch

from clipgan.base.memory import measure_peak_from_now, peak_memory

CPU = torch.device("cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process forget its peak")
def test_a_run_does_not_have_the_peak_of_an_earlier_one() -> None:
    big = torch.ones(10**8)  # 0.4 GB
    assert peak_memory(CPU) > 0.4
    del big  # the allocator gives it back, mostly: not always in a process that has done much
    measure_peak_from_now(CPU)
    assert peak_memory(CPU) == pytest.approx(psutil.Process().memory_info().rss / 1e9, abs=0.1)
