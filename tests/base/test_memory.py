"""The peak of a run's memory, in a process that has done others."""

import sys

import pytest
import torch

from clipgan.base.memory import measure_peak_from_now, peak_memory

CPU = torch.device("cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process forget its peak")
def test_a_run_does_not_have_the_peak_of_an_earlier_one() -> None:
    big = torch.ones(10**8)  # 0.4 GB, which the allocator gives back at once
    before = peak_memory(CPU)
    del big
    measure_peak_from_now(CPU)
    assert peak_memory(CPU) < before - 0.3
    own = torch.ones(5 * 10**7)
    assert peak_memory(CPU) > 0.2
    assert len(own) == 5 * 10**7
