"""Signals: they stop a process between two accesses to the database, never in the middle of one."""

import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import optuna
import pytest
from optuna.storages import RDBStorage

from sweeps.base.signals import Stop, Stopped, held
from sweeps.points.search_space import Point
from sweeps.search.plan import Grid, Plan
from sweeps.study.claims import SweepStudy
from sweeps.study.storage import exclusive

IDENTITY = {"axes": ["h"], "config": {}}
PLAN = Plan(Grid([Point({"h": float(h)}, (f"h={h}",)) for h in range(30)]))


class Interruption:
    """Sends SIGINT to this process at the n-th call of a Python function; counts the calls."""

    def __init__(self, at: int) -> None:
        self.at, self.calls = at, 0

    def __call__(self, frame: FrameType, event: str, _arg: object) -> None:
        if event == "call":
            self.calls += 1
            if self.calls == self.at:
                signal.raise_signal(signal.SIGINT)

    def __enter__(self) -> "Interruption":
        sys.setprofile(self)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)


@pytest.fixture
def study(tmp_path: Path) -> SweepStudy:
    study = SweepStudy(f"sqlite:///{tmp_path}/s.db", "s", "minimize", IDENTITY, print)
    study.enqueue(PLAN, {"h": [float(h) for h in range(30)]})
    assert study.claim(PLAN) is not None
    return study


def test_a_signal_comes_at_the_end_of_a_block_that_holds_it() -> None:
    order = []

    def work() -> None:
        with held():
            with held():
                signal.raise_signal(signal.SIGINT)
            order.append("whole")
        order.append("never")

    with pytest.raises(KeyboardInterrupt), Stop().catching_signals():
        work()
    assert order == ["whole"]


def test_a_signal_that_was_heeded_stops_no_later_block() -> None:
    with Stop().catching_signals():
        with pytest.raises(KeyboardInterrupt), held():
            signal.raise_signal(signal.SIGINT)
        with held():
            pass


def test_a_process_that_stops_heeds_no_signal_again_but_ctrl_c() -> None:
    with Stop().catching_signals():
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_thread_holds_no_signal_back() -> None:
    inside, over = threading.Event(), threading.Event()

    def hold() -> None:
        with held():
            inside.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait()
    try:
        with pytest.raises(KeyboardInterrupt), Stop().catching_signals():
            signal.raise_signal(signal.SIGINT)
    finally:
        over.set()
        thread.join()


def test_the_database_can_be_written_after_a_signal_in_any_call(study: SweepStudy) -> None:
    other = optuna.load_study(study_name="s", storage=RDBStorage(study.url))
    with Interruption(0) as counted:
        study.changes()
    step = counted.calls // 50
    for at in range(1, counted.calls, step):
        with Stop().catching_signals():
            try:
                with Interruption(at):
                    study.changes()
            except KeyboardInterrupt:  # whose traceback keeps the frames that it passed, and a statement open there
                other.set_user_attr("x", at)  # so that this process's snapshot is old
                study.set_attribute("y", at)
    assert study.attribute("y") == other.user_attrs["x"]


def test_a_claim_that_a_signal_interrupts_waits_again(study: SweepStudy) -> None:
    n_open = study.n_open(PLAN)
    with Interruption(0) as counted:
        claim = study.claim(PLAN)
    assert claim is not None
    study.give_back(claim)
    for at in range(1, counted.calls, counted.calls // 20):
        with Stop().catching_signals(), pytest.raises(KeyboardInterrupt), Interruption(at):
            study.claim(PLAN)
        assert study.n_open(PLAN) == n_open


def test_a_signal_ends_the_wait_for_a_lock(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    locked, over = threading.Event(), threading.Event()

    def hold() -> None:
        with exclusive(url):
            locked.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    locked.wait()
    timer = threading.Timer(0.2, signal.pthread_kill, (threading.get_ident(), signal.SIGINT))
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt), Stop().catching_signals(), held(), exclusive(url):
            pass
    finally:
        over.set()
        thread.join()
