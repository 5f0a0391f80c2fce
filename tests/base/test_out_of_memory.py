"""Memory that has run out, as Python and PyTorch say it."""

import pytest
import torch

from clipgan.base.errors import UserError
from clipgan.base.out_of_memory import TRAINING, is_out_of_memory, told
from clipgan.config.command_line import messages_not_tracebacks

MORE = 2**61  # bytes


def allocate():
    torch.empty(MORE, dtype=torch.uint8)


@pytest.mark.parametrize("fill", [allocate, lambda: bytearray(MORE)])
def test_a_command_that_runs_out_of_memory_ends_with_one_message(fill):
    with pytest.raises(SystemExit, match=r"^out of memory: (?!\[enforce)[^;]+$"), messages_not_tracebacks():
        fill()
    with (
        pytest.raises(UserError, match=r"^out of memory: .+; a smaller batch needs less.* accumulate=N"),
        told(TRAINING),
    ):
        fill()


def test_a_gpus_errors_are_known_and_others_pass():
    with pytest.raises(UserError, match=r"^out of memory: CUDA out of memory. Tried to allocate 2 GiB"), told():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert not is_out_of_memory(ValueError("not enough memory"))
    with pytest.raises(RuntimeError, match="shapes"), messages_not_tracebacks():
        raise RuntimeError("shapes do not fit")
