"""Where a training first computes what is no number: noted on the device in each step, looked at once in a while.

Looking makes a GPU wait; noting costs some small kernels a step.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from clipgan.base.distributed import least_of

PLACES = 2**20  # more than a step has quantities
NEVER = 2**62


class Fault(NamedTuple):
    """A quantity that was NaN or infinite."""

    name: str  # as in the figures: G/CLIP/it; also G/images, G/CLIP/embedding, G/CLIP/it/target, G/gradient
    step: int  # counted from 0


class Watch:
    """The first quantity that was not finite, in the order in which a step computes them."""

    def __init__(self) -> None:
        self._names: list[str] = []  # of this step
        self._sums: list[Tensor] = []  # scalars; a sum with NaN or inf in it is one
        self._by_step: dict[int, list[str]] = {}  # since the last look
        self._first: Tensor | None = None  # int64 scalar: step * PLACES + place, or NEVER
        self._in_a_row: dict[str, Tensor] = {}  # gradients that were none, up to now

    def see(self, name: str, quantity: Tensor | float) -> None:
        """Note a quantity of any shape, by its sum in float32: one that overflows there is none either."""
        if isinstance(quantity, Tensor):
            self._names.append(name)
            self._sums.append(quantity.detach().sum(dtype=torch.float32))

    def see_all(self, quantities: Mapping[str, Tensor]) -> None:
        """Note each quantity that this step has not seen yet."""
        for name, quantity in quantities.items():
            if name not in self._names:
                self.see(name, quantity)

    def see_gradient(self, name: str, parameters: Iterable[Tensor], patience: int = 1) -> None:
        """Note the gradient of parameters, by its norm.

        Args:
            patience: times in a row that it has to be no number before it is a fault.
        """
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not gradients:
            return
        norm = torch.nn.utils.get_total_norm(gradients)
        in_a_row = torch.where(norm.isfinite(), 0, self._in_a_row.get(name, 0) + torch.ones_like(norm))
        self._in_a_row[name] = in_a_row
        self.see(name, torch.where(in_a_row < patience, 0, norm))

    def end_step(self, step: int) -> None:
        """Keep where this step's first fault is, if it is the first of all."""
        finite = torch.stack(self._sums).isfinite()
        place = (~finite).int().argmax()
        first = torch.where(finite.all(), NEVER, step * PLACES + place)
        self._first = first if self._first is None else torch.minimum(self._first, first)
        self._by_step[step] = self._names
        self._names, self._sums = [], []

    def fault(self, of_all: bool = False) -> Fault | None:
        """The first one since the last look, or None; waits for the device.

        Args:
            of_all: of all processes, which then look at once; a row's fault is first seen where the row is.
        """
        code = NEVER if self._first is None else int(self._first)
        code = least_of(code) if of_all else code
        names, self._by_step, self._first = self._by_step, {}, None
        if code == NEVER:
            return None
        step, place = divmod(code, PLACES)
        return Fault(names[step][place], step)
