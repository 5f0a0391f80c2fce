"""The parts in the order of their value, and the seconds that each may take."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module

from bench.gpu.findings import Compute

BUDGET = 480  # seconds for all stages


@dataclass(frozen=True)
class Part:
    """A function of this package."""

    name: str
    module: str
    function: str
    argument: int | None = None
    large: bool = False  # whether its pictures have 256 pixels, for which a training lets cuDNN search

    def load(self) -> Compute:
        """Import the function."""
        function: Callable[..., None] = getattr(import_module(f"bench.gpu.{self.module}"), self.function)
        return function if self.argument is None else partial(function, seed=self.argument)


@dataclass(frozen=True)
class Stage:
    """Parts that run at the same time. A part that measures time has a stage of its own."""

    seconds: float
    parts: tuple[Part, ...]


def _alone(seconds: float, module: str, name: str, large: bool = False) -> Stage:
    return Stage(seconds, (Part(name, module, name, large=large),))


STAGES: tuple[Stage, ...] = (
    _alone(20, "commands", "prepare"),
    _alone(45, "steps", "step32"),
    _alone(65, "steps", "step256", large=True),
    _alone(80, "steps", "lafite", large=True),
    _alone(45, "snapshot", "snapshot", large=True),
    _alone(55, "cost", "cost", large=True),
    _alone(20, "commands", "startup"),
    _alone(35, "commands", "sharing"),
    Stage(75, tuple(Part(f"quality{seed}", "commands", "quality", seed) for seed in (0, 1, 2))),
    Stage(75, (
        *(Part(name, "correct", name)
          for name in ("equality", "structures", "encoder_bits", "fp16", "gradients", "devices")),
        *(Part(name, "commands", name) for name in ("bits", "processes")),
        Part("memory", "cost", "memory", large=True),
    )),
)  # fmt: skip
BY_NAME = (_alone(480, "commands", "control"),)  # eight minutes of its own, so only where `only` names it
