"""The breakdown of a training's time: that all of it is charged somewhere, and to whom."""

import threading

import pytest
import torch

from bench.breakdown import PARTS, STAGES, both_ways, from_losses, measure, wrapped
from bench.stopwatch import Stopwatch
from tests.helpers import make_config
from tests.tiny import tiny


class Clock:
    """Says what it is told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def test_all_functions_that_are_timed_are_there() -> None:
    with wrapped(Stopwatch()):
        pass


def test_nested_time_is_taken_out_of_what_surrounds_it() -> None:
    clock = Clock()
    watch = Stopwatch(clock)
    clock.advance(1)
    with watch.timing(stage="step"):
        clock.advance(2)
        with watch.timing(part="inner"):
            clock.advance(4)
        clock.advance(8)
    clock.advance(16)
    with watch.timing():
        pass
    assert watch.seconds == {("other", "other"): 17, ("step", "other"): 10, ("step", "inner"): 4}


def test_a_gradients_thread_turns_the_loops_time() -> None:
    clock = Clock()
    watch = Stopwatch(clock)
    with watch.timing(part="losses"):
        clock.advance(1)
        autograd = threading.Thread(target=watch.turn_to, args=("G",))
        autograd.start()
        autograd.join()
        clock.advance(2)
    assert {part: seconds for (_, part), seconds in watch.seconds.items() if seconds} == {"losses": 1, "G": 2}


def test_a_backward_pass_is_charged_where_the_gradient_is() -> None:
    """It comes from the losses, reaches the output of the second network, then that of the first."""
    clock = Clock()
    watch = Stopwatch(clock)

    class Slow(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, seconds):
            ctx.seconds = seconds
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            clock.advance(ctx.seconds)
            return gradient, None

    first = both_ways(watch, lambda x: Slow.apply(x, 1), "G")
    second = both_ways(watch, lambda x: Slow.apply(x, 2), "D")
    loss = Slow.apply(second(first(torch.ones(1, requires_grad=True))), 4).sum()
    from_losses(watch, torch.Tensor.backward)(loss)
    charged = {part: seconds for (_, part), seconds in watch.seconds.items() if seconds}
    assert charged == {"losses": 4, "D": 2, "G": 1}


@pytest.mark.endurance
def test_every_part_of_a_training_has_its_time(cache_dir) -> None:
    seconds = measure(make_config(*tiny(cache_dir, "mlflow.tracking_uri=null")))
    parts = {part for _, part in seconds}
    assert parts <= set(PARTS)
    assert {stage for stage, _ in seconds} == set(STAGES)
    expected = {"data", "encoders", "losses", "G", "D", "optimizer", "EMA", "logging"}
    assert expected <= {part for (_, part), value in seconds.items() if value > 0}
    snapshot = {"generation", "encoding", "fid", "fjd", "r_precision", "accuracy", "grid", "checkpoint"}
    end = {"fid_sd", "kid", "precision_recall", "clip_score", "diversity"}
    assert {part for stage, part in seconds if stage == "snapshot"} >= snapshot
    assert {part for stage, part in seconds if stage == "snapshot"} & end == set()
    assert {part for stage, part in seconds if stage == "end"} >= snapshot | end
