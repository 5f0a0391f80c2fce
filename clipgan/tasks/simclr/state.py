"""The changing state of a pretraining: network, optimiser, step."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from timm.optim import Lars
from torch import Tensor

from clipgan.base.randomness import stream_seed
from clipgan.base.vectors import unit
from clipgan.config import Config
from clipgan.engine.divergence import Watch
from clipgan.engine.precision import Precision, choose_precision
from clipgan.tasks.simclr.network import SimclrNetwork, build_network, over_processes
from clipgan.tasks.simclr.optimizer import lars

BATCH_NORMS = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d, torch.nn.SyncBatchNorm)


@dataclass
class SimclrState:
    """The state of one run; a checkpoint stores its `state_dict`."""

    network: SimclrNetwork
    optimizer: Lars
    precision: Precision
    scaler: torch.amp.GradScaler
    step: int = 0  # batches done
    watch: Watch = field(default_factory=Watch)  # not in `state_dict`

    def project(self, views: Tensor) -> Tensor:
        """Compute z of views in the training's precision: [n, 3, R, R] in [0, 1] -> float32 [n, P], unit length."""
        with self.precision.autocast():
            z = self.network((2 * views - 1).contiguous(memory_format=torch.channels_last))
        return unit(z.float())

    @contextmanager
    def same_statistics(self) -> Iterator[None]:
        """Keep the BatchNorms' running statistics unchanged while the block runs."""
        norms = [each for each in self.network.modules() if isinstance(each, BATCH_NORMS)]
        for norm in norms:
            norm.track_running_stats = False
        try:
            yield
        finally:
            for norm in norms:
                norm.track_running_stats = True

    def state_dict(self) -> dict[str, Any]:
        """Return the state as tensors and plain data."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the result of `state_dict`.

        Raises:
            RuntimeError: the network has other shapes.
        """
        for name in ("network", "optimizer", "scaler"):
            getattr(self, name).load_state_dict(state[name])
        self.step = state["step"]


def new_state(config: Config, device: torch.device) -> SimclrState:
    """Initialise a new network and its optimiser; only the seed determines the initial weights.

    Raises:
        UserError: the device cannot compute in `config.precision`.
    """
    assert config.simclr is not None
    precision = choose_precision(config.precision, device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(config.seed, "initial weights"))
        network = build_network(config.simclr, config.resolution)
    over_processes(network, device)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return SimclrState(network, lars(network, config.simclr), precision, precision.scaler())
