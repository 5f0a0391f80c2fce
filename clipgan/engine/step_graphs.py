"""Run a training step as CUDA graphs: the GPU repeats recorded kernels, and the CPU launches only the recording.

A small network's step consists of thousands of small kernels, which take longer to launch than to compute. A graph
repeats the same kernels on the same memory. So a step's batch and random numbers are copied into tensors that keep
their place, and a step that also computes a regulariser is another variant with a graph of its own.

The first step of a variant runs eagerly: libraries initialise and choose their algorithms. The second one is captured.
"""

import gc
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

import torch
from torch import Tensor

from clipgan.base.console import console
from clipgan.base.errors import UserError
from clipgan.base.randomness import DrawnTensors, StaticRandom, StepRandom
from clipgan.base.text import first_line
from clipgan.engine.divergence import Watched


def check_graphs(asked: str, device: torch.device, processes: int) -> None:
    """Refuse `graphs=on` where no step can be captured, before anything is prepared.

    Raises:
        UserError: there is no GPU, or several processes share the batch.
    """
    if asked == "on" and device.type != "cuda":
        raise UserError(f"graphs=on is not allowed on device={device}: CUDA graphs need a GPU; take graphs=auto")
    if asked == "on" and processes > 1:
        raise UserError(f"graphs=on is not allowed with {processes} processes, which run eagerly; take graphs=auto")


class Inputs(Protocol):
    """A step's data on the device."""

    def copied(self) -> Self:
        """Return a batch with tensors of its own."""
        ...

    def take(self, other: Self) -> None:
        """Copy another batch of the same shapes into this one's tensors."""
        ...


class StepOutputs(NamedTuple):
    """What the computation of a step returns."""

    values: dict[str, Tensor]  # to log; scalars on the device, without gradient
    watched: Watched

    def copied(self) -> "StepOutputs":
        """Copy the tensors, which the next replay overwrites."""
        values = torch.stack(list(self.values.values())).unbind()
        watched = self.watched._replace(finite=self.watched.finite.clone())
        return StepOutputs(dict(zip(self.values, values, strict=True)), watched)


B = TypeVar("B", bound=Inputs)
Replay = Callable[[], StepOutputs]
Capture = Callable[[Replay], Replay]  # records what a function does, and returns a function that repeats it


class CudaCapture:
    """Captures CUDA graphs that share one pool of memory: none is replayed before the last one's outputs are read."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, function: Replay) -> Replay:
        """Capture a function's kernels, without running them."""
        gc.collect()  # an eager step's leftovers must not free memory during the capture
        graph = torch.cuda.CUDAGraph()
        # other threads, which copy the next batch to the GPU, go on during the capture
        with torch.cuda.device(self.device), torch.cuda.graph(
            graph, pool=self._pool, capture_error_mode="thread_local"
        ):  # fmt: skip
            outputs = function()

        def replay() -> StepOutputs:
            graph.replay()
            return outputs

        return replay


@dataclass
class _Variant:
    """A variant of the step after its first, eager run."""

    drawn: DrawnTensors = field(default_factory=DrawnTensors)
    replay: Replay | None = None


class StepGraphs(Generic[B]):
    """The graphs of a training's step, one for each variant."""

    def __init__(self, capture: Capture, reset: Callable[[], None], must: bool) -> None:
        """Make no graph yet.

        Args:
            capture: how a step is captured; a test may repeat plain calls instead.
            reset: puts the training's objects in order after a capture that failed; no kernel has run then.
            must: whether a failed capture is an error; else the steps run eagerly from then on.
        """
        self._capture, self._reset, self._must = capture, reset, must
        self._variants: dict[Hashable, _Variant] = {}
        self._inputs: B | None = None
        self.failure: str | None = None  # why steps run eagerly

    def run(
        self, key: Hashable, batch: B, random: StepRandom, compute: Callable[[B, StepRandom], StepOutputs]
    ) -> StepOutputs:
        """Compute a step.

        Args:
            key: the variant; equal keys mean the same operations on tensors of the same shapes.
            batch: the step's data; its shapes never change.
            random: the step's random numbers.
            compute: reads only its two arguments and tensors that keep their place; it never waits for the GPU.

        Raises:
            UserError: the capture failed, and the configuration demands graphs.
        """
        if self.failure is not None:
            return compute(batch, random)
        if self._inputs is None:
            self._inputs = batch.copied()
        else:
            self._inputs.take(batch)
        inputs = self._inputs
        known = key in self._variants
        variant = self._variants.setdefault(key, _Variant())
        variant.drawn.refill(random)
        static = StaticRandom.of(random, variant.drawn)
        if not known:
            return compute(inputs, static)
        if variant.replay is None and not self._captured(variant, lambda: compute(inputs, static)):
            return compute(batch, random)
        assert variant.replay is not None
        return variant.replay().copied()

    def _captured(self, variant: _Variant, compute: Replay) -> bool:
        try:
            variant.replay = self._capture(compute)
            return True
        except Exception as error:  # CUDA's errors have no class of their own; out of memory is another one
            self._reset()
            self.failure = first_line(error)
        self._variants.clear()
        if self._must:
            raise UserError(
                f"graphs=on: the step cannot be captured as a CUDA graph ({self.failure}); take graphs=auto"
            )
        console.print(f"graphs=auto: steps run without CUDA graphs ({self.failure})")
        return False
