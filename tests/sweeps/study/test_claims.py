"""The queue of points, without Hydra."""

import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from sweeps.base.errors import SweepError
from sweeps.base.signals import Stop
from sweeps.job.current_trial import RunningTrial
from sweeps.points.layout import Layout
from sweeps.points.ranking import Goal
from sweeps.points.search_space import Point, Space, Value, axes_and_fixed
from sweeps.points.trial_record import TrialRecord
from sweeps.search.plan import Grid, Plan
from sweeps.search.sampling import SampledPoints
from sweeps.study import outage
from sweeps.study.claims import SweepStudy
from sweeps.study.queue import BATCH, Limits
from sweeps.study.storage import open_storage
from tests import warm
from tests.disks import small_disk
from tests.sweeps.sweep_app import REPOSITORY

IDENTITY = {"axes": ["h"], "config": {"batch": 16}}


class Study:
    """A study in a directory, and what it has said."""

    def __init__(self, directory: Path) -> None:
        self.storage = f"sqlite:///{directory}/s.db"
        self.said: list[str] = []

    def open(self, **changes: object) -> SweepStudy:
        settings = {"name": "s", "directions": "minimize", "identity": IDENTITY, **changes}
        return SweepStudy(self.storage, say=self.said.append, **settings)  # type: ignore[arg-type]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def points(*values: Value) -> Plan:
    return Plan(Grid([Point({"h": value}, (f"h={value}",)) for value in values]))


def space(*values: Value) -> Space:
    return {"h": list(values)}


def test_each_point_is_claimed_once_in_order(study: Study) -> None:
    queue, grid = study.open(), points(0.1, 0.5)
    queue.enqueue(grid, space(0.1, 0.5))
    queue.enqueue(grid, space(0.1, 0.5))
    first, second = queue.claim(grid), queue.claim(grid)
    assert (first.number, first.point, first.overrides, first.run) == (0, {"h": 0.1}, ("h=0.1",), 0)
    assert (second.number, second.point, second.run) == (1, {"h": 0.5}, 1)
    assert queue.claim(grid) is None


def test_a_long_queue_is_written_in_batches_and_a_stop_between_two_loses_nothing(study: Study) -> None:
    sweep, plan = study.open(), points(*map(float, range(2 * BATCH + 1)))
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        told.append((done, total))
        if len(told) == 1:
            signal.raise_signal(signal.SIGINT)

    with Stop().catching_signals(), pytest.raises(KeyboardInterrupt):
        sweep.enqueue(plan, space(0.0, 2.0 * BATCH), tell=tell)
    assert told == [(BATCH, 2 * BATCH + 1)]
    again = study.open()
    again.enqueue(plan, space(0.0, 2.0 * BATCH), tell=tell)
    assert told[1:] == [(BATCH, BATCH + 1), (BATCH + 1, BATCH + 1)]
    records = again.records()
    assert [record.point["h"] for record in records] == [record.run for record in records] == list(range(2 * BATCH + 1))


class WaitingSampler(optuna.samplers.RandomSampler):
    """Begins to draw when a result is known, and draws until a test lets it go on."""

    drawing, go = threading.Event(), threading.Event()

    def sample_relative(self, *arguments: Any) -> dict[str, Any]:
        if any(trial.state == TrialState.RUNNING and trial.number for trial in arguments[0].trials):
            self.drawing.set()
            assert self.go.wait(60)
        return super().sample_relative(*arguments)


def test_a_draw_does_not_hold_up_the_others(study: Study) -> None:
    """Another process claims a trial and ends it, and then gets the next point, while a sampler draws."""
    axes = axes_and_fixed(OverridesParser.create().parse_overrides(["h=interval(0,1)"]))[0]
    sampler = {"_target_": f"{__name__}.WaitingSampler", "seed": 0}
    plan = Plan(SampledPoints(Layout(axes), sampler, 3, ["minimize"], lambda values: True))
    one, other = study.open(), study.open()
    one.enqueue(plan, space(0.0, 1.0))
    first = other.claim(plan)
    assert first is not None
    claims: list[TrialRecord | None] = []
    thread = threading.Thread(target=lambda: claims.append(one.claim(plan)))
    thread.start()
    assert WaitingSampler.drawing.wait(60)
    assert other.complete(first, (1.0,), None)
    other.records()
    WaitingSampler.go.set()
    thread.join()
    second, third = claims[0], other.claim(plan)
    assert second is not None
    assert third is not None
    assert len({claim.point["h"] for claim in (first, second, third)}) == 3
    assert other.claim(plan) is None


def test_a_full_disk_with_the_study_on_it_is_one_message_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "OUTAGE", 1.0)
    with small_disk(tmp_path / "disk", kib=1500) as disk:
        sweep = Study(disk).open()
        sweep.enqueue(points(0.5, 1.0), space(0.5, 1.0))
        claim = sweep.claim(points(0.5, 1.0))
        assert claim is not None
        with pytest.raises(OSError, match="No space"):
            (disk / "data").write_bytes(bytes(2**21))
        full = "hydra.sweeper.storage has not answered for 1 s .*disk is full"
        with pytest.raises(SweepError, match=full):
            sweep.complete(claim, (1.0,), "/runs/" + "long" * 20_000)  # the journal has room for a few more pages
        with pytest.raises(SweepError, match=full):
            sweep.give_back(claim)
        (disk / "data").unlink()
        assert sweep.complete(claim, (1.0,), None)
        assert [record.state for record in sweep.records()] == ["COMPLETE", "WAITING"]
        open_storage.cache_clear()


def test_another_commands_points_stay_in_the_queue(study: Study) -> None:
    queue = study.open()
    queue.enqueue(points(0.1, 0.5), space(0.1, 0.5))
    claim = queue.claim(points(0.5))
    assert claim.point == {"h": 0.5}
    assert queue.claim(points(0.5)) is None
    assert queue.claim(points(0.1)) is not None


def test_a_trial_costs_two_transactions_and_one_reading(study: Study) -> None:
    queue, grid = study.open(), points(*map(float, range(4)))
    queue.enqueue(grid, space(*map(float, range(4))))
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement.split(maxsplit=1)[0])

    for n in range(3):
        if n == 2:  # the first claim reads nothing of a trial before it
            sqlalchemy.event.listen(open_storage(queue.url).engine, "before_cursor_execute", note)
        claim = queue.claim(grid)
        assert claim is not None
        assert claim.state == "RUNNING"
        assert queue.complete(claim, (float(n),), f"runs/{n}")
        assert (queue.ended(claim).value, queue.ended(claim).run_dir) == (float(n), f"runs/{n}")
    assert Counter(statements)["UPDATE"] == 2
    assert Counter(statements)["SELECT"] <= 12  # Optuna needs most of them to read one trial


def test_the_attributes_of_a_trial(study: Study) -> None:
    queue = study.open()
    queue.enqueue(Plan(Grid([Point({"h": 2.0}, ("h=2",))])), space(2.0))
    claim = queue.claim(points(2.0))
    queue.complete(claim, (3.5,), "/runs/0")
    [trial] = optuna.load_study(study_name="s", storage=study.storage).trials
    assert (trial.params, trial.value, trial.state) == ({"h": 2.0}, 3.5, TrialState.COMPLETE)
    attributes = trial.user_attrs
    assert attributes["point"] == {"h": 2.0}
    assert attributes["overrides"] == ["h=2"]
    assert (attributes["run"], attributes["run_dir"]) == (0, "/runs/0")


def test_failed_points_are_retried_only_when_asked_and_in_their_directory(study: Study) -> None:
    queue, grid = study.open(), points(0.1, 0.5)
    queue.enqueue(grid, space(0.1, 0.5))
    queue.complete(queue.claim(grid), (1.0,), None)
    queue.fail(queue.claim(grid), "DivergenceError: nan", None)
    queue.enqueue(grid, space(0.1, 0.5))
    assert queue.claim(grid) is None
    assert queue.records()[1].reason == "DivergenceError: nan"
    queue.enqueue(grid, space(0.1, 0.5), ["FAIL"])
    claim = queue.claim(grid)
    assert (claim.number, claim.run, claim.point) == (2, 1, {"h": 0.5})
    assert queue.claim(grid) is None
    assert (len(queue.records()), queue.n_superseded) == (2, 1)


def test_a_result_that_a_failed_rerun_left_is_replicated_as_before(study: Study) -> None:
    both = [Point({"h": h}, (f"h={h}",)) for h in (0.1, 0.5)]
    first = Plan(Grid(both))
    queue = study.open()
    queue.enqueue(first, space(0.1, 0.5))
    for value in (1.0, 2.0):
        queue.complete(queue.claim(first), (value,), None)
    queue.enqueue(Plan(Grid(both[:1])), space(0.1, 0.5), ["COMPLETE"])
    queue.fail(queue.claim(first), "no such file", None)
    assert [(record.value, record.failed_again is None) for record in queue.records()] == [(1.0, False), (2.0, True)]
    best = Plan(Grid(both), Goal(replicas=2, top=1), seed=0)
    assert queue.n_open(best) == 1
    queue.enqueue(best, space(0.1, 0.5))
    assert queue.claim(best).overrides == ("h=0.1", "seed=1")
    queue.enqueue(first, space(0.1, 0.5), ["FAIL"])  # it has failed all the same
    assert queue.claim(first).overrides == ("h=0.1",)


def test_equal_failures_end_a_sweep_unless_a_trial_has_run(study: Study) -> None:
    grid = points(*map(float, range(5)))

    def failed(name: str, *reasons: str, report: bool = False) -> tuple[str | None, bool]:
        queue = study.open(name=name, limits=Limits(max_equal_failures=2))
        queue.enqueue(grid, space(0.0, 4.0))
        claim = queue.claim(grid)
        for reason in reasons:
            queue.fail(queue.claim(grid), reason, None, crashed=False)
        if report:  # by another process
            open_storage(queue.url).set_trial_intermediate_value(claim.key, 1, 7.5)
        return queue.only_failure(grid, 2), queue.claim(grid) is not None

    assert failed("few", "no such file") == (None, True)
    assert failed("equal", "no such file", "no such file") == ("no such file", False)
    assert failed("unlike", "loss is nan at step 3", "loss is nan at step 4") == (None, True)
    assert failed("trained", "no such file", "no such file", report=True) == (None, True)


def test_an_interrupted_point_waits_again_with_what_it_has_reported(study: Study) -> None:
    queue, grid = study.open(), points(0.1)
    queue.enqueue(grid, space(0.1))
    claim = queue.claim(grid)
    storage = open_storage(queue.url)
    storage.set_trial_intermediate_value(claim.key, 2, 7.5)
    storage.set_trial_user_attr(claim.key, "job.speed", 3.0)
    queue.give_back(claim)
    [record] = queue.records()
    assert (record.number, record.state, record.steps, record.attributes) == (1, "WAITING", {2: 7.5}, {"speed": 3.0})
    assert queue.claim(grid).run == 0
    assert optuna.load_study(study_name="s", storage=study.storage).trials[0].user_attrs["reason"] == "interrupted"


def test_the_trial_of_a_dead_process_is_requeued_and_of_a_living_one_is_not(study: Study) -> None:
    queue, grid = study.open(), points(0.1, 0.5)
    queue.enqueue(grid, space(0.1, 0.5))
    queue.claim(grid)
    claim_and_die = (
        "import sys; from sweeps.search.plan import *; from sweeps.study.claims import SweepStudy;"
        f"s = SweepStudy({study.storage!r}, 's', 'minimize', {IDENTITY!r}, print);"
        "s.claim(Plan(Grid([Point({'h': 0.5}, ('h=0.5',))])))"
    )
    warm.run([sys.executable, "-c", claim_and_die], check=True, cwd=REPOSITORY)
    claim = queue.claim(grid)
    assert (claim.number, claim.point, claim.run) == (2, {"h": 0.5}, 1)
    assert queue.claim(grid) is None
    trials = optuna.load_study(study_name="s", storage=study.storage).trials
    assert [trial.state for trial in trials] == [TrialState.RUNNING, TrialState.FAIL, TrialState.RUNNING]
    assert trials[1].user_attrs["reason"] == "orphaned"


def test_a_waiting_trial_that_another_tool_has_taken_waits_again(study: Study) -> None:
    queue, grid = study.open(), points(0.1)
    queue.enqueue(grid, space(0.1))
    optuna.load_study(study_name="s", storage=study.storage).ask()  # as `optuna ask` does: no process of a sweep has it
    queue.changes()
    assert queue.abandon(1, None) is None
    claim = queue.claim(grid)
    assert (claim.number, claim.point, claim.run) == (1, {"h": 0.1}, 0)
    taken = optuna.load_study(study_name="s", storage=study.storage).trials[0]
    assert (taken.state, taken.user_attrs["reason"]) == (TrialState.FAIL, "another tool had taken it")


def test_a_trial_that_another_tool_ends_while_it_is_requeued_keeps_its_result(study: Study) -> None:
    queue, grid = study.open(), points(0.1)
    queue.enqueue(grid, space(0.1))
    theirs = optuna.load_study(study_name="s", storage=study.storage)
    taken = theirs.ask()
    queue._trials.refresh()
    theirs.tell(taken, 0.5)  # after this process has read the study
    queue._queue.requeue_lost()
    assert queue.claim(grid) is None
    assert [(record.state, record.value) for record in queue.records()] == [("COMPLETE", 0.5)]


def test_a_study_that_another_tool_deletes_is_one_message(study: Study) -> None:
    queue, grid = study.open(), points(0.1, 0.5)
    queue.enqueue(grid, space(0.1, 0.5))
    claim = queue.claim(grid)
    job = RunningTrial(study.storage, "s", claim.number, None)
    queue.changes()
    optuna.delete_study(study_name="s", storage=study.storage)
    for call in (queue.changes, lambda: queue.claim(grid), lambda: job.set("x", 1), job.state):
        with pytest.raises(SweepError, match="somebody has deleted it"):
            call()


def test_a_number_extends_the_study(study: Study) -> None:
    queue = study.open()
    queue.enqueue(points(0.1, 0.5), space(0.1, 0.5))
    queue.complete(queue.claim(points(0.1)), (1.0,), None)
    queue = study.open()
    queue.enqueue(points(0.1, 0.5, 4.0), space(0.1, 0.5, 4.0))
    assert queue.name == "s"
    assert study.said == ["study s is extended: h=0.1,0.5,4"]
    assert [record.point for record in queue.records()] == [{"h": 0.1}, {"h": 0.5}, {"h": 4.0}]
    assert queue.claim(points(4.0)).run == 2


def test_a_name_extends_it_too(study: Study) -> None:
    queue, before = study.open(), points("a", "b")
    queue.enqueue(before, space("a", "b"))
    queue.complete(queue.claim(before), (1.5,), "/runs/0")
    queue.set_attribute("note", 7)
    old_leader = study.open()
    queue.enqueue(points("c", "a"), space("c", "a"))
    assert (queue.name, queue.base_name, queue.attribute("note")) == ("s", "s", 7)
    assert study.said == ["study s is extended: h=a,b,c"]
    assert [(r.point["h"], r.state, r.value) for r in queue.records()] == [
        ("a", "COMPLETE", 1.5),
        ("b", "WAITING", None),
        ("c", "WAITING", None),
    ]
    assert old_leader.claim(before).point == {"h": "b"}
    trials = optuna.load_study(study_name="s", storage=study.storage).trials
    assert [trial.params["h"] for trial in trials] == ["a", "b", "c"]
    assert {trial.distributions["h"] for trial in trials} == {CategoricalDistribution(["a", "b", "c"])}


def test_a_name_on_an_axis_of_numbers(study: Study) -> None:
    queue = study.open()
    queue.enqueue(points(0.5, 2.0), space(0.5, 2.0))
    queue.complete(queue.claim(points(2.0)), (1.5,), None)
    mixed = points("auto", "2")
    queue.enqueue(mixed, space("auto", "2"))
    assert [(r.point["h"], r.state) for r in queue.records()] == [
        ("0.5", "WAITING"), ("2", "COMPLETE"), ("auto", "WAITING"),
    ]  # fmt: skip
    assert queue.claim(points(0.5)).overrides == ("h=0.5",)


def test_no_interval_on_an_axis_of_names(study: Study) -> None:
    queue = study.open()
    queue.enqueue(points("auto", "2"), space("auto", "2"))
    drawn = Plan(Grid([Point({"h": 1.37}, ("h=1.37",))]))
    with pytest.raises(SweepError, match=r"study s has names on the axis h \(auto, 2, 1, 3\), so no number"):
        queue.enqueue(drawn, space(1.0, 3.0))


def test_a_new_name_while_a_trial_runs(study: Study) -> None:
    queue, more = study.open(), points("a", "b")
    queue.enqueue(points("a"), space("a"))
    claim = queue.claim(points("a"))
    study.open().enqueue(more, space("a", "b"))
    assert queue.complete(claim, (1.5,), None)
    assert queue.claim(more).point == {"h": "b"}
    assert [(record.point["h"], record.state) for record in queue.records()] == [("a", "COMPLETE"), ("b", "RUNNING")]


def test_another_configuration_or_direction_is_refused(study: Study) -> None:
    study.open()
    with pytest.raises(SweepError, match="another configuration: batch is 32, the study's 16"):
        study.open(identity={"axes": ["h"], "config": {"batch": 32}})
    with pytest.raises(SweepError, match="axes are C_it, h, the study's h"):
        study.open(identity={**IDENTITY, "axes": ["C_it", "h"]})
    with pytest.raises(SweepError, match="direction=maximize, but study s has minimize"):
        study.open(directions="maximize")


def test_a_trial_that_another_tool_adds_is_left_alone(study: Study) -> None:
    queue, grid = study.open(), points(0.1)
    queue.enqueue(grid, space(0.1))
    optuna.load_study(study_name="s", storage=study.storage).enqueue_trial({"h": 0.1})
    assert queue.claim(grid).number == 0
    assert queue.claim(grid) is None
    assert len(queue.records()) == 1


def test_a_foreign_study_is_refused(study: Study) -> None:
    optuna.create_study(study_name="s", storage=open_storage(study.storage))
    with pytest.raises(SweepError, match="study s was not made by this sweeper"):
        study.open()
