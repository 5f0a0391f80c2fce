"""Find the first value of a training that is not finite: each step records on the device; a check reads it later.

Recording costs a few small kernels per step; reading makes the GPU wait.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from clipgan.base.distributed import minimum_of_all


class Fault(NamedTuple):
    """A quantity that was NaN or infinite."""

    name: str  # as in the metrics: G/CLIP/it; also G/images, G/CLIP/embedding, G/CLIP/it/target, G/gradient
    step: int  # counted from 0


class Watch:
    """The first quantity that was not finite, in the order in which the steps computed them."""

    def __init__(self) -> None:
        self._names: list[str] = []  # of the quantities of this step
        self._sums: list[Tensor] = []  # scalars; a sum of NaN or infinity is not finite either
        self._noted: list[Fault] = []  # name and step of all quantities since the last check
        self._finite: list[Tensor] = []  # whether they were finite, one tensor per step
        self._overflows: dict[str, Tensor] = {}  # for each gradient: how many in a row were not finite

    def see(self, name: str, quantity: Tensor | float) -> None:
        """Record a quantity of any shape by its sum in float32; a sum that overflows counts as not finite."""
        if isinstance(quantity, Tensor):
            self._names.append(name)
            self._sums.append(quantity.detach().sum(dtype=torch.float32))

    def see_all(self, quantities: Mapping[str, Tensor]) -> None:
        """Record each quantity that this step has not recorded yet."""
        for name, quantity in quantities.items():
            if name not in self._names:
                self.see(name, quantity)

    def see_gradient(self, name: str, parameters: Iterable[Tensor], patience: int = 1) -> None:
        """Record the gradient of parameters by its norm.

        Args:
            patience: a fault needs this many gradients in a row that are not finite.
        """
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not gradients:
            return
        norm = torch.nn.utils.get_total_norm(gradients)
        overflows = torch.where(norm.isfinite(), 0, self._overflows.get(name, 0) + torch.ones_like(norm))
        self._overflows[name] = overflows
        self.see(name, torch.where(overflows < patience, 0, norm))

    def end_step(self, step: int) -> None:
        """Keep this step's records until the next check."""
        self._noted += [Fault(name, step) for name in self._names]
        self._finite.append(torch.stack(self._sums).isfinite())
        self._names, self._sums = [], []

    def fault(self, of_all: bool = False) -> Fault | None:
        """Find the first fault since the last check, or None; wait for the device.

        Args:
            of_all: check all processes at the same step; a row's own process records its fault first.
        """
        noted, finite = self._noted, torch.cat(self._finite).tolist() if self._finite else []
        self._noted, self._finite = [], []
        first = finite.index(False) if False in finite else len(noted)
        first = minimum_of_all(first) if of_all else first  # all processes record the same quantities in the same order
        return noted[first] if first < len(noted) else None
