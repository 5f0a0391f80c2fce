"""Measure how many trials per second several processes claim and complete in a study, without Hydra and jobs."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.sweeps import postgres

PATIENCE = 120.0  # seconds that the processes wait for each other, in case one has died


def per_second(storage: str, workers: int, trials: int) -> float:
    """Measure the trials per second that `workers` processes claim and complete together, with `trials` each."""
    n = trials * workers
    plan = _plan(n)
    study = _study(storage, f"claims-{workers}")
    study.enqueue(plan, {"x": [float(x) for x in range(n)]})
    context = multiprocessing.get_context("spawn")
    ready, go = (context.Barrier(workers + 1, timeout=PATIENCE) for _ in range(2))
    processes = [
        context.Process(target=_work, args=(storage, study.name, n, ready, go), daemon=True) for _ in range(workers)
    ]
    for process in processes:
        process.start()
    ready.wait()
    start = time.perf_counter()
    go.wait()
    for process in processes:
        process.join()
    seconds = time.perf_counter() - start
    complete = [record.point["x"] for record in study.records() if record.state == "COMPLETE"]
    assert sorted(complete) == [float(x) for x in range(n)], "a trial was lost"
    return n / seconds


@contextmanager
def storages(folder: Path) -> Iterator[dict[str, Callable[[], str]]]:
    """Yield makers of empty databases by name; PostgreSQL only if a server is installed, with commits on the disk."""
    count = iter(range(1000))
    sqlite = {"SQLite": lambda: f"sqlite:///{folder}/claims{next(count)}.db"}
    reason = postgres.missing()
    if reason is not None:
        print(f"PostgreSQL is left out: {reason}")
        yield sqlite
        return
    with postgres.serve(durable=True) as server:
        yield {**sqlite, "PostgreSQL": lambda: server.create(f"claims{next(count)}")}


def _work(storage: str, name: str, n: int, ready: Any, go: Any) -> None:
    study, plan = _study(storage, name), _plan(n)
    ready.wait()
    go.wait()
    while (claim := study.claim(plan)) is not None:
        study.complete(claim, (1.0,), None)


def _plan(n: int) -> Any:
    from sweeps.points.search_space import Point
    from sweeps.search.plan import Grid, Plan

    return Plan(Grid([Point({"x": float(x)}, (f"x={x}",)) for x in range(n)]))


def _study(storage: str, name: str) -> Any:
    from sweeps.study.claims import SweepStudy

    return SweepStudy(storage, name, "minimize", {"axes": ["x"], "config": {}}, print)
