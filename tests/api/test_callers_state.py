"""What libraries change in the process of a caller is undone."""

import logging
import os
import random

import numpy as np
import pytest
import torch

from clipgan.api.callers_state import callers_state_kept
from clipgan.base.errors import UserError
from tests.api.state import assert_as, state_of_process


def test_what_the_block_changes_is_undone_also_after_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setenv("CLIPGAN_TEST_KEPT", "1")
    monkeypatch.setenv("CLIPGAN_TEST_CHANGED", "1")
    before = state_of_process()
    with pytest.raises(KeyError), torch.no_grad(), callers_state_kept():  # noqa: PT012
        os.environ |= {"CLIPGAN_TEST_NEW": "1", "CLIPGAN_TEST_CHANGED": "2"}
        del os.environ["CLIPGAN_TEST_KEPT"]
        logging.basicConfig(level=logging.DEBUG)
        random.random()
        np.random.rand()
        torch.manual_seed(5)
        assert (torch.ones(1, requires_grad=True) * 2).requires_grad
        raise KeyError
    assert_as(before)
    logging.basicConfig(filename=tmp_path / "mine.log", level=logging.root.level)  # the caller's own
    [handler] = logging.root.handlers
    assert handler.baseFilename == str(tmp_path / "mine.log")
    handler.close()


def test_a_device_that_cannot_be_undone_is_refused():
    said = pytest.raises(UserError, match=r"`with torch\.device\('meta'\):` is around the call")
    with torch.device("meta"), said, callers_state_kept():
        pass
    assert torch.empty(0).device.type == "cpu"
