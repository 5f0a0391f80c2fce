"""replicas=auto in a study: a kill in the middle, both directions, a sampler and a pruner."""

import json
import signal
import sys
from collections import Counter

import numpy as np
import pytest
from optuna.trial import TrialState

from bench.sweeping.replicas import race
from tests import warm
from tests.sweeps.sweep_app import REPOSITORY, App

SEEDS = 12
RACER = """
import json, os, signal, sys
from sweeps.points.ranking import Goal
from sweeps.points.search_space import Point
from sweeps.search.plan import Grid, Plan
from sweeps.study.claims import SweepStudy

url, direction, values, last = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
hs = [float(h) for h in range(len(values))]
goal = Goal(directions=(direction,), replicas=len(values[0]), error=0.05)
plan = Plan(Grid([Point({"h": h}, (f"h={h}",)) for h in hs]), goal, seed=0)
study = SweepStudy(url, "s", direction, {"axes": ["h"], "config": {}}, print)
study.enqueue(plan, {"h": hs})
while (claim := study.claim(plan)) is not None:
    last -= 1
    if last == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    assert study.complete(claim, [values[int(claim.point["h"])][claim.replica]], None)
"""


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_kill_between_two_looks_changes_no_decision(app: App, direction: str) -> None:
    values = np.array([[0.0], [0.8], [5.0], [5.8]]) + np.random.default_rng(4).normal(size=(4, SEEDS)) * 0.5
    sign = 1 if direction == "minimize" else -1
    seeds = [len(own) for own in race((sign * values).tolist(), 0.05)]
    assert max(seeds) > 3
    assert min(seeds) == 3
    arguments = [app.url, direction, json.dumps(values.tolist())]
    for last, status in ((13, -signal.SIGKILL), (0, 0)):  # the first claim after the first look
        command = [sys.executable, "-c", RACER, *arguments, str(last)]
        assert warm.run(command, cwd=REPOSITORY, check=False).returncode == status
    complete = Counter(trial.params["h"] for trial in app.trials("s", TrialState.COMPLETE))
    assert [complete[float(h)] for h in range(4)] == seeds
    assert [trial.user_attrs["reason"] for trial in app.trials("s", TrialState.FAIL)] == ["orphaned"]


@pytest.mark.slow
def test_a_sampler_draws_the_points_and_a_pruner_ends_some(app: App) -> None:
    sampler = ("h=interval(0.1,2)", "sampler=tpe", "hydra.sweeper.sampler.seed=0", "hydra.sweeper.n_trials=4")
    ends_above = ("pruner=threshold", "hydra.sweeper.pruner.upper=6", "mode=curve")  # (h - 0.5)^2 + 5 after one step
    command = (*sampler, *ends_above, "hydra.sweeper.replicas=auto", "hydra.sweeper.enqueue=[{h: 0.4}, {h: 1.9}]")
    app.run(*command)
    trials = app.trials()
    by_point: dict[float, list[str]] = {}
    for trial in trials:
        by_point.setdefault(trial.params["h"], []).append(trial.state.name)
    assert len(by_point) == 4
    for h, states in by_point.items():
        assert states == ["PRUNED" if (h - 0.5) ** 2 > 1 else "COMPLETE"] * 3
    assert {0.4, 1.9} < set(by_point)
    assert len([line for line in app.started() if line.split()[1] == "1.9"]) == 1  # its other seeds never started
    assert "0 trials run: all" in app.run(*command)
