"""The parts in the order of their value, and the seconds that each may take."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module

from bench.gpu.findings import Compute

BUDGET = 480  # seconds for all stages, whose own seconds are scaled to fill it


@dataclass(frozen=True)
class Part:
    """A function of this package."""

    name: str
    module: str
    function: str
    argument: int | None = None
    shares: bool = False  # whether processes share the GPU, by MPS where the driver has it

    def load(self) -> Compute:
        """Import the function."""
        function: Callable[..., None] = getattr(import_module(f"bench.gpu.{self.module}"), self.function)
        return function if self.argument is None else partial(function, seed=self.argument)


@dataclass(frozen=True)
class Stage:
    """Parts that run at the same time. A part that measures time has a stage of its own."""

    seconds: float
    parts: tuple[Part, ...]


def _alone(seconds: float, module: str, name: str, shares: bool = False) -> Stage:
    return Stage(seconds, (Part(name, module, name, shares=shares),))


def _beside(module: str, *names: str) -> tuple[Part, ...]:
    return tuple(Part(name, module, name, shares=True) for name in names)


STAGES: tuple[Stage, ...] = (
    _alone(40, "commands", "prepare"),
    _alone(32, "steps", "step32"),
    _alone(60, "steps", "lafite"),
    _alone(24, "commands", "startup"),
    _alone(125, "commands", "sharing", shares=True),
    Stage(88, (
        *_beside("correct", "structures", "equality", "failed_capture", "encoder_bits", "fp16", "gradients", "devices"),
        *_beside("commands", "bits", "processes"),
        *(Part(f"quality{seed}", "commands", "quality", seed, shares=True) for seed in (0, 1, 2)),
        Part("memory", "cost", "memory", shares=True),
    )),
    _alone(50, "steps", "step256"),
    _alone(38, "snapshot", "snapshot"),
    _alone(48, "cost", "cost"),
)  # fmt: skip
# `control` takes eight minutes of its own, so it runs only where `only` names it
NAMED: tuple[Stage, ...] = (*STAGES, _alone(480, "commands", "control"))
