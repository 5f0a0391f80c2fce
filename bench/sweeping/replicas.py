"""Simulate sweeps with `replicas=auto`: wrong verdicts, coverage of the intervals, and the kimg that it saves.

A sweep has 2, 3, 5 or 8 points, whose true means come from one of five landscapes. A value is its point's mean, plus an
effect that the seed has on all points, plus noise of its own; both have deviation 1. The fixed design gives each point
the largest number of seeds, and compares the points with the same intervals.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweeps.points.sequential import differences, next_look

MOST, ERROR = 12, 0.05  # the defaults of hydra.sweeper.replicas_max and replicas_error
SIZES = (2, 3, 5, 8)
LANDSCAPES = ("equal", "two best", "normal", "bowl", "clear")


@dataclass
class Tally:
    """Counts over simulated sweeps."""

    sweeps: int = 0
    wrong: int = 0  # sweeps that call a point worse than the best that is not
    covered: int = 0  # sweeps whose intervals all hold
    told: int = 0  # sweeps that tell the best from all others
    fixed_told: int = 0  # the same for the fixed design
    used: int = 0  # trials
    fixed: int = 0  # trials of the fixed design

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


def simulate(landscape: str, points: int, sweeps: int, seed: int, uneven: float = 0.0) -> Tally:
    """Run so many sweeps.

    Args:
        landscape: one of `LANDSCAPES`.
        points: at least 2.
        sweeps: how many.
        seed: of the random numbers.
        uneven: how much a point's deviation grows with its distance from the best: 1 + `uneven` * distance.
    """
    chance = np.random.default_rng([seed, points, LANDSCAPES.index(landscape)])
    tally = Tally()
    for _ in range(sweeps):
        true = means(landscape, points, chance)
        scale = 1 + uneven * (true - true.min())
        values = true[:, None] + scale[:, None] * chance.normal(size=(points, MOST)) + chance.normal(size=MOST)
        wrong, covered, told = judge(race(values.tolist(), ERROR), true)
        full = judge(values.tolist(), true)
        used = sum(len(own) for own in race(values.tolist(), ERROR))
        tally += Tally(1, wrong, covered, told, full[2], used, points * MOST)
    return tally


def means(landscape: str, points: int, chance: np.random.Generator) -> NDArray[np.float64]:
    """True means of the points of one sweep, in deviations of the noise; smaller is better."""
    if landscape == "equal":
        return np.zeros(points)
    if landscape == "two best":
        return np.array([0.0, 0.0, *[3.0] * (points - 2)])
    if landscape == "normal":
        return chance.normal(0, chance.uniform(0.5, 4), points)
    if landscape == "bowl":
        return chance.uniform(2, 10) * (np.linspace(-1, 1, points) - chance.uniform(-1, 1)) ** 2
    return np.array([0.0, *[4.0] * (points - 1)])


def race(values: Sequence[Sequence[float]], error: float) -> list[list[float]]:
    """Reveal the values of each point, seed by seed, as far as the rule asks for them."""
    known: list[list[float]] = [[] for _ in values]
    while True:
        seeds, due = next_look(known, error, len(values[0]))
        if not due:
            return known
        for point in due:
            known[point] = list(values[point][:seeds])


def judge(known: Sequence[Sequence[float]], true: NDArray[np.float64]) -> tuple[bool, bool, bool]:
    """Whether a statement of the sweep is wrong, whether all its intervals hold, and whether it tells the best."""
    most = max(map(len, known))
    best = min((float(np.mean(own)), point) for point, own in enumerate(known) if len(own) == most)[1]
    found = [
        (ends, true[point] - true[best])
        for point, ends in enumerate(differences(known, best, ERROR))
        if ends is not None
    ]
    wrong = any(ends[0] > 0 >= gap or ends[1] < 0 <= gap for ends, gap in found)
    covered = all(ends[0] <= gap <= ends[1] for ends, gap in found)
    return wrong, covered, all(ends[0] > 0 for ends, _ in found)
