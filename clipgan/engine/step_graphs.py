"""Record a training step, and repeat the recording: as CUDA graphs on a GPU, see `cpu_graph` for a CPU.

A small network's step consists of thousands of small kernels, which take longer to launch than to compute. A CUDA graph
repeats the same kernels on the same memory. So a step's batch and random numbers are copied into tensors that keep
their place, and a step that also computes a regulariser is another variant with a recording of its own.

The first step of a variant runs eagerly: libraries initialise and choose their algorithms, objects make their state. A
later one is captured. On a GPU none is captured before the other variants have run as well: an eager step cannot use
the memory that the graphs keep, so it would need its own beside theirs.
"""

import gc
from collections.abc import Callable, Collection, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

import torch
from torch import Tensor

from clipgan.base.console import console
from clipgan.base.errors import UserError
from clipgan.base.memory import give_back_memory
from clipgan.base.randomness import DrawnTensors, StaticRandom, StepRandom
from clipgan.base.text import first_line
from clipgan.engine.branches import join_after_error
from clipgan.engine.divergence import Watched


def check_graphs(asked: str, processes: int) -> None:
    """Refuse `graphs=on` where no step can be recorded, before anything is prepared.

    Raises:
        UserError: several processes share the batch.
    """
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

    def tensors(self) -> list[Tensor]:
        """Return all tensors."""
        return [*self.values.values(), self.watched.finite]

    def replaced(self, tensors: Sequence[Tensor]) -> "StepOutputs":
        """Return the same outputs with other tensors, in the order of `tensors`."""
        *values, finite = tensors
        return StepOutputs(dict(zip(self.values, values, strict=True)), self.watched._replace(finite=finite))

    def copied(self) -> "StepOutputs":
        """Copy the tensors, which the next replay overwrites."""
        return self.replaced([*torch.stack(list(self.values.values())).unbind(), self.watched.finite.clone()])


B = TypeVar("B", bound=Inputs)
Replay = Callable[[], StepOutputs]


class Captured(NamedTuple):
    """A step that can be repeated."""

    replay: Replay
    outputs: StepOutputs | None = None  # of the step, if it ran while it was captured


class CaptureError(Exception):
    """A step cannot be repeated."""

    def __init__(self, reason: str, outputs: StepOutputs | None = None) -> None:
        """Say why, and what the step returned if it ran all the same."""
        super().__init__(reason)
        self.outputs = outputs


Capture = Callable[[Replay], Captured]  # records what a function does; raises CaptureError


class CudaCapture:
    """Captures CUDA graphs that share one pool of memory: none is replayed before the last one's outputs are read."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)  # PyTorch's own would be of the GPU of this process's first capture

    def __call__(self, function: Replay) -> Captured:
        """Capture a function's kernels, without running them."""
        gc.collect()  # an eager step's leftovers must not free memory during the capture
        graph = torch.cuda.CUDAGraph()
        cause: BaseException | None = None  # of a failure; the end of the capture may raise another error
        try:
            with (
                torch.cuda.device(self.device),
                torch.cuda.stream(torch.cuda.current_stream(self.device)),  # `graph` leaves its own if its end fails
                # other threads, which copy the next batch to the GPU, go on during the capture
                torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"),
            ):
                try:
                    outputs = function()
                except BaseException as error:
                    cause = error
                    join_after_error()
                    raise
        except Exception as error:  # CUDA's errors have no class of their own; out of memory is another one
            if cause is not None and not isinstance(cause, Exception):  # Ctrl-C
                raise cause from None
            raise CaptureError(first_line(cause or error)) from error

        def replay() -> StepOutputs:
            graph.replay()
            return outputs

        return Captured(replay)


@dataclass
class _Variant:
    """A variant of the step."""

    drawn: DrawnTensors = field(default_factory=DrawnTensors)
    runs: int = 0  # eager ones
    replay: Replay | None = None


class StepGraphs(Generic[B]):
    """The graphs of a training's step, one for each variant."""

    def __init__(
        self,
        capture: Capture,
        reset: Callable[[], None],
        must: bool,
        eager_runs: int = 1,
        upcoming: Callable[[], Collection[Hashable]] = tuple,
    ) -> None:
        """Make no graph yet.

        Args:
            capture: how a step is captured.
            reset: puts the training's objects in order after a capture that failed before any operation ran.
            must: whether a failed capture is an error; else the steps run eagerly from then on.
            eager_runs: how often a variant runs before it is captured; at least 1.
            upcoming: called before the first step; returns variants that must all have run before one is captured.
        """
        self._capture, self._reset, self._must, self._eager_runs = capture, reset, must, eager_runs
        self._upcoming = upcoming
        self._awaited: set[Hashable] = set()
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
            compute: reads only its two arguments and tensors that keep their place; it takes no value out of a tensor,
                and Python's numbers stay as they are at the recording.

        Raises:
            UserError: the capture failed, and the configuration demands graphs.
        """
        if self.failure is not None:
            return compute(batch, random)
        if self._inputs is None:
            self._inputs = batch.copied()
            self._awaited.update(self._upcoming())
        else:
            self._inputs.take(batch)
        inputs = self._inputs
        variant = self._variants.setdefault(key, _Variant())
        variant.drawn.refill(random)
        if variant.replay is not None:
            return variant.replay().copied()
        static = StaticRandom.of(random, variant.drawn)
        if variant.runs < self._eager_runs or self._awaited:
            self._awaited.discard(key)
            variant.runs += 1
            return compute(inputs, static)
        try:
            captured = self._capture(lambda: compute(inputs, static))
        except CaptureError as error:
            reason, outputs = str(error), error.outputs  # the error itself holds all that the step has computed
        else:
            variant.replay = captured.replay
            return variant.replay().copied() if captured.outputs is None else captured.outputs
        self._give_up(reason, ran=outputs is not None)
        return compute(batch, random) if outputs is None else outputs

    def _give_up(self, reason: str, ran: bool) -> None:
        if not ran:
            self._reset()
        self.failure = reason
        self._variants.clear()
        if self._must:
            raise UserError(f"graphs=on: the step cannot be recorded ({reason}); take graphs=auto")
        console.print(f"graphs=auto: steps run eagerly ({reason})")
        with suppress(RuntimeError):  # PyTorch before 2.8 still believes in the capture
            give_back_memory()  # what the capture has taken, for the eager step
