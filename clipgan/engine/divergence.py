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


class Watched(NamedTuple):
    """What the watch records in one step."""

    names: list[str]  # of the quantities, in the order of their computation
    finite: Tensor  # bool, [len(names)], on the device


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
            scalar = quantity.detach()
            self._sums.append(scalar.sum(dtype=torch.float32) if scalar.ndim else scalar.float())

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
        if patience > 1:
            if name not in self._overflows:
                self._overflows[name] = torch.zeros_like(norm)
            overflows = self._overflows[name]  # changed in place: a CUDA graph goes on counting in the same tensor
            overflows.add_(1).masked_fill_(norm.isfinite(), 0)
            norm = norm.masked_fill(overflows < patience, 0)
        self.see(name, norm)

    def take(self) -> Watched:
        """Return the records of this step, and begin the next step's."""
        watched = Watched(self._names, torch.stack(self._sums).isfinite())
        self.forget()
        return watched

    def forget(self) -> None:
        """Drop the records of an unfinished step."""
        self._names, self._sums = [], []

    def keep(self, step: int, watched: Watched) -> None:
        """Keep a step's records until the next check."""
        self._noted += [Fault(name, step) for name in watched.names]
        self._finite.append(watched.finite)

    def end_step(self, step: int) -> None:
        """Keep this step's records until the next check."""
        self.keep(step, self.take())

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
