"""Measure gain and loss of pruning: sweep a grid of synthetic trainings with known FID curves.

    python -m bench.pruning                            # 10 landscapes of each kind for each pruner; some minutes
    python -m bench.pruning landscapes=1 median

A training's FID falls exponentially to a floor. Floor, speed and measurement noise (1 %) depend on the point, and the
speed is independent of the floor. There are two kinds of landscapes. In `alike`, speeds differ from their mean by 10 %
at most. In `crossing`, they differ by a factor of up to 2.5: a curve that ends low may be among the worst half-way, and
no rule that only knows the past can detect this. Each pruner runs the whole grid through a real study, in the order of
a sweep with a pruner.

It prints the trained share of the grid's kimg, and the regret: the excess of the best complete point's final FID over
the final FID of the grid's best point. It writes runs/bench/pruning.json.
"""

import itertools
import math
import random
import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from bench.measuring import arguments, show, write
from clipgan.config.command_line import messages_not_tracebacks
from sweeps.base.samplers_and_pruners import PRUNERS
from sweeps.job.current_trial import RunningTrial
from sweeps.job.pruning import is_to_end
from sweeps.points.layout import Layout
from sweeps.points.search_space import Axis, space_of
from sweeps.search.plan import Grid, Plan, shuffled
from sweeps.study.claims import SweepStudy
from sweeps.study.storage import open_storage

H = (0.1, 0.2, 0.5, 1.0, 2.0)
C = (0.5, 1.25, 2.5, 3.75, 5.0)
KIMG = 16  # length of a training, which reports at each kimg
SPEEDS = {"alike": (2.7, 3.3), "crossing": (2.0, 5.0)}  # kimg in which the distance to the floor falls to 1 / e
DEFAULT = ("median", "hyperband", "successive_halving")
Curve = Callable[[Mapping[str, Any], int], float]  # (point, kimg) -> FID


def landscape(seed: int, kind: str) -> Curve:
    """Make FID curves over the grid; the seed places the best point; `kind` is one of `SPEEDS`."""
    chance = random.Random(seed)
    best_h, best_c = chance.choice(H), chance.choice(C)
    speed = {(h, c): chance.uniform(*SPEEDS[kind]) for h in H for c in C}
    start = 120.0

    def fid(point: Mapping[str, Any], kimg: int) -> float:
        h, c = point["h"], point["C"]
        floor = 10 + 6 * math.log(h / best_h) ** 2 + 4 * math.log(c / best_c) ** 2
        noise = random.Random(f"{seed}/{h}/{c}/{kimg}").gauss(0, 0.01)
        return (floor + (start - floor) * math.exp(-kimg / speed[h, c])) * (1 + noise)

    return fid


def grid() -> tuple[list[Axis], Plan]:
    """The grid's axes and its plan."""
    axes = [Axis(name, name, {value: str(value) for value in values}) for name, values in (("h", H), ("C", C))]
    return axes, Plan(Grid(shuffled(Layout(axes).points())))


def sweep(pruner: Mapping[str, Any], fid: Curve) -> tuple[float, float]:
    """Run the grid. Return the trained share of its kimg, and the regret: best found FID / best FID of the grid - 1."""
    axes, plan = grid()
    trained = 0
    with tempfile.TemporaryDirectory() as folder:
        study = SweepStudy(f"sqlite:///{folder}/s.db", "s", "minimize", {"axes": ["C", "h"], "config": {}}, print)
        study.enqueue(plan, space_of(axes))
        while (claim := study.claim(plan)) is not None:
            trial = RunningTrial(study.url, study.name, claim.number, None)
            for kimg in range(KIMG + 1):
                value = fid(claim.point, kimg)
                trial.report(value, kimg)
                ends = is_to_end(open_storage(study.url), study.name, claim.number, kimg, pruner, KIMG)
                if ends and kimg < KIMG:
                    study.prune(claim, None)
                    break
            else:
                study.complete(claim, (value,), None)
            trained += kimg
        found = min(
            record.value for record in study.records() if record.state == "COMPLETE" and record.value is not None
        )
        open_storage.cache_clear()
    there = [fid({"h": h, "C": c}, KIMG) for h, c in itertools.product(H, C)]
    return trained / (KIMG * len(there)), found / min(there) - 1


@messages_not_tracebacks()
def main() -> None:
    """Measure each pruner on each kind of landscape, print and write."""
    options, pruners = arguments(__doc__, landscapes=10)
    rows = []
    for name, kind in itertools.product(pruners or DEFAULT, SPEEDS):
        found = [sweep(asdict(PRUNERS[name]()), landscape(seed, kind)) for seed in range(options["landscapes"])]
        shares, regrets = zip(*found, strict=True)
        good = f"{sum(regret <= 0.02 for regret in regrets)} of {len(regrets)}"
        rows.append((name, kind, statistics.mean(shares), max(shares), statistics.mean(regrets), max(regrets), good))
    show(
        ("pruner", "curves", "kimg", "worst", "regret", "worst", "within 2 %"),
        (((*row[:2], *(f"{value:.1%}" for value in row[2:6]), row[6])) for row in rows),
    )
    write("pruning", rows=rows)


if __name__ == "__main__":
    main()
