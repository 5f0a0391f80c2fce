"""Inception's weights: looked for, and looked into, before anything long starts."""

import pytest
import torch

from clipgan.base.errors import UserError
from clipgan.metrics.inception import find_inception_weights


@pytest.mark.parametrize("content", [None, b"no weights", {"a": torch.zeros(1)}])
def test_wrong_inception_weights_are_one_message(tmp_path, content):
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(UserError, match=r"metrics\.inception_weights"):
        find_inception_weights(str(path))
