"""train.py under torchrun with one process, which joins a group of its own and exchanges what processes exchange."""

from unittest.mock import patch

import torch.distributed as dist

from clipgan.base.distributed import group, is_joined
from clipgan.main import main as train


def main() -> None:
    """Train as the command line says."""
    reduced = 0
    original = dist.all_reduce

    def counted(*arguments: object, **more: object) -> object:
        nonlocal reduced
        assert is_joined()
        reduced += 1
        return original(*arguments, **more)  # type: ignore[arg-type]

    with patch("clipgan.engine.start_run.joined", group), patch("torch.distributed.all_reduce", counted):
        train()
    assert reduced, "nothing was exchanged"


if __name__ == "__main__":
    main()
