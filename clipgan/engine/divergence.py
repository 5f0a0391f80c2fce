"""Where a training first computes a value that is not finite: noted on the device in each step, looked at now and then.

Looking makes a GPU wait; noting costs some small kernels a step.
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
        self._noted: list[Fault] = []  # name and step of all quantities since the last look
        self._finite: list[Tensor] = []  # whether they were finite, one tensor a step
        self._overflows: dict[str, Tensor] = {}  # by gradient: how many in a row were not finite

    def see(self, name: str, quantity: Tensor | float) -> None:
        """Note a quantity of any shape by its sum in float32; a sum that overflows counts as not finite."""
        if isinstance(quantity, Tensor):
            self._names.append(name)
            self._sums.append(quantity.detach().sum(dtype=torch.float32))

    def see_all(self, quantities: Mapping[str, Tensor]) -> None:
        """Note each quantity that this step has not noted yet."""
        for name, quantity in quantities.items():
            if name not in self._names:
                self.see(name, quantity)

    def see_gradient(self, name: str, parameters: Iterable[Tensor], patience: int = 1) -> None:
        """Note the gradient of parameters by its norm.

        Args:
            patience: how many gradients in a row must not be finite before that is a fault.
        """
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not gradients:
            return
        norm = torch.nn.utils.get_total_norm(gradients)
        overflows = torch.where(norm.isfinite(), 0, self._overflows.get(name, 0) + torch.ones_like(norm))
        self._overflows[name] = overflows
        self.see(name, torch.where(overflows < patience, 0, norm))

    def end_step(self, step: int) -> None:
        """Keep what this step has noted until the next look."""
        self._noted += [Fault(name, step) for name in self._names]
        self._finite.append(torch.stack(self._sums).isfinite())
        self._names, self._sums = [], []

    def fault(self, of_all: bool = False) -> Fault | None:
        """The first fault since the last look, or None; waits for the device.

        Args:
            of_all: look in all processes, at the same step; a row's fault is first noted by the process of the row.
        """
        noted, finite = self._noted, torch.cat(self._finite).tolist() if self._finite else []
        self._noted, self._finite = [], []
        first = finite.index(False) if False in finite else len(noted)
        first = minimum_of_all(first) if of_all else first  # all processes note the same quantities in the same order
        return noted[first] if first < len(noted) else None
