"""A step from static tensors: here, plain calls repeat the computation instead of a recording.

`test_recorded_steps.py` repeats the operations themselves.
"""

import contextlib
import dataclasses
import functools
import gc
import weakref
from types import SimpleNamespace

import pytest
import torch

from clipgan.base.errors import UserError
from clipgan.base.randomness import DrawnTensors, StaticRandom, StepRandom
from clipgan.engine.cpu_graph import CpuCapture
from clipgan.engine.step_graphs import Captured, CaptureError, CudaCapture, StepGraphs, check_graphs
from clipgan.tasks.gan.train_step import EAGER_RUNS, due_at, graphs_of, kinds_ahead
from clipgan.tasks.train import train
from tests.helpers import make_config
from tests.tiny import tiny

CPU = torch.device("cpu")
STEPS = 11
OFTEN = ["model.r1_interval=4", "model.pl_interval=2"]  # each kind of step runs eagerly, is captured, and is repeated


def repeat(function):
    """Stand for a capture: no replay gets anything from Python but what the first call has found."""
    return Captured(function)


def with_graphs(training, capture=repeat, must=False):
    training.graphs = StepGraphs(capture, training.state.reset, must)
    return training


def assert_same_state(ours, theirs):
    ours, theirs = (dict(flat(training.state.state_dict())) for training in (ours, theirs))
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.equal(ours[name], value) if isinstance(value, torch.Tensor) else ours[name] == value, name


def flat(value, name=""):
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if pairs is None:
        yield name, value
    for key, child in pairs or ():
        yield from flat(child, f"{name}.{key}")


def test_a_step_reads_its_own_tensors_and_no_others(make_training):
    """Runs each computation on a batch and random numbers that are spoilt after its first call, but for the static
    tensors."""
    training, eager = make_training(), make_training()

    def capture(function):
        pointers = [tensor.data_ptr() for tensor in training.graphs._inputs.tensors()]

        def replay():
            assert [tensor.data_ptr() for tensor in training.graphs._inputs.tensors()] == pointers
            return function()

        return Captured(replay)

    with_graphs(training, capture)
    for step in range(9):
        batch = training.batches.at(step)
        spoilt = dataclasses.replace(batch.copied(), rows=batch.rows)
        training.batches.at = lambda _, spoilt=spoilt: spoilt
        training.step(step)
        for tensor in spoilt.tensors():
            tensor.fill_(float("nan"))
        del training.batches.at
        eager.step(step)
    assert_same_state(training, eager)


def test_a_resumed_training_goes_on_from_the_same_bits(make_training):
    """Its graphs are new, and captured at other steps."""
    whole, first, second = (with_graphs(make_training(*OFTEN, "augment=ada", "augment.kimg=1")) for _ in range(3))
    for step in range(STEPS):
        whole.step(step)
    for step in range(5):
        first.step(step)
    second.state.load_state_dict(first.state.state_dict())
    for step in range(5, STEPS):
        second.step(step)
    assert_same_state(second, whole)


def test_on_a_gpu_no_step_is_captured_before_the_other_kinds_have_run(make_training):
    """Also after a resumption, whose first steps are of other kinds."""
    for begin in (0, 5):
        training, eager = (make_training("model.r1_interval=8", "model.pl_interval=4") for _ in range(2))
        training.state.step = eager.state.step = begin
        upcoming = functools.partial(kinds_ahead, training.config, training.state)
        training.graphs = StepGraphs(repeat, training.state.reset, must=False, upcoming=upcoming)
        variants, known = training.graphs._variants, [0, 0]
        for step in range(begin, begin + 16):
            captured = sum(variant.replay is not None for variant in variants.values())
            known = [len(variants), captured] if len(variants) < 3 else known
            training.step(step)
            eager.step(step)
        assert known == [2, 0]
        assert sum(variant.replay is not None for variant in variants.values()) == 3
        assert_same_state(training, eager)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_failed_capture_falls_back_to_eager_steps(make_training, capsys, precision):
    """It fails in the middle of the step, as an operation does that CUDA cannot capture, and before any kernel runs."""

    def fail(function):
        state = training.state
        inner = state.scaler.is_enabled() and {"scale": state.scaler._scale, "growth": state.scaler._growth_tracker}

        def tensors():
            found = flat({**state.state_dict(), "inner": inner or {}})
            return {name: value for name, value in found if isinstance(value, torch.Tensor)}

        before = {name: value.clone() for name, value in tensors().items()}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("clipgan.tasks.gan.train_step.gradient_penalty_step", broken)
            patch.setattr("clipgan.tasks.gan.train_step.path_length_step", broken)
            patch.setattr("clipgan.tasks.gan.train_step.generator_step", broken)
            with pytest.raises(RuntimeError, match="operation not permitted"):
                function()
            for name, value in tensors().items():  # a capture runs no kernel
                value.copy_(before[name])
        raise CaptureError("operation not permitted")

    def broken(state, *_):
        state.train_discriminator(False)
        raise RuntimeError("operation not permitted")

    training, eager = (
        with_graphs(make_training(f"precision={precision}"), fail),
        make_training(f"precision={precision}"),
    )
    for step in range(6):
        training.step(step)
        eager.step(step)
    assert capsys.readouterr().out.count("graphs=auto: steps run eagerly (operation not permitted)") == 1
    assert_same_state(training, eager)
    assert training.state.watch.fault() is None


def test_a_step_that_ran_but_cannot_be_repeated_counts(make_training, capsys):
    training, eager = with_graphs(make_training(), CpuCapture()), make_training()
    run = training.state.discriminate
    training.state.discriminate = lambda images, *rest: images.image.sum().item() and run(images, *rest)
    for step in range(6):
        training.step(step)
        eager.step(step)
    assert capsys.readouterr().out.count("graphs=auto: steps run eagerly (aten._local_scalar_dense.default: it") == 1
    assert_same_state(training, eager)


class Streams:
    """Stands for CUDA's streams: it is the current one at first, and notes which others it waits for."""

    def __init__(self, monkeypatch, capturing):
        self.current, self.waited = self, []
        monkeypatch.setattr("torch.cuda.graph_pool_handle", lambda: (0, 0))
        monkeypatch.setattr("torch.cuda.Stream", lambda device: f"own stream of {device}")
        monkeypatch.setattr("torch.cuda.CUDAGraph", lambda: None)
        monkeypatch.setattr("torch.cuda.device", contextlib.nullcontext)
        monkeypatch.setattr("torch.cuda.current_stream", lambda *_: self.current)
        monkeypatch.setattr("torch.cuda.stream", self.stream)
        monkeypatch.setattr("torch.cuda.is_current_stream_capturing", lambda: self.current in capturing)

    @contextlib.contextmanager
    def stream(self, stream):
        before, self.current = self.current, stream
        yield
        self.current = before

    def wait_stream(self, other):
        self.waited.append(other)


@contextlib.contextmanager
def failing_graph(*_, stream, **__):
    """Stand for a capture on the device's own stream, whose end fails after an error."""
    assert stream == f"own stream of {CPU}"
    try:
        yield
    except BaseException:
        raise RuntimeError("capture failed due to a previous error") from None


def test_the_error_of_a_capture_is_one_line_and_its_branches_end(monkeypatch):
    """An error leaves a branch open; the end of the capture fails and says less."""

    def broken():
        raise RuntimeError("operation not permitted when stream is capturing\nmore lines")

    streams = Streams(monkeypatch, capturing=["open"])
    monkeypatch.setattr("clipgan.engine.branches._streams", {(0, 0): "joined", (0, 1): "open"})
    monkeypatch.setattr("torch.cuda.graph", failing_graph)
    with pytest.raises(CaptureError, match=r"^operation not permitted when stream is capturing$"):
        CudaCapture(CPU)(broken)
    assert streams.waited == ["open"]
    assert streams.current is streams


def test_an_interrupted_capture_ends_the_training(monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    Streams(monkeypatch, capturing=[])
    monkeypatch.setattr("torch.cuda.graph", failing_graph)
    with pytest.raises(KeyboardInterrupt):
        CudaCapture(CPU)(interrupted)


def test_a_capture_that_cannot_begin_is_one_line(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("out of memory\nmore lines")

    Streams(monkeypatch, capturing=[])
    monkeypatch.setattr("torch.cuda.graph", broken)
    with pytest.raises(CaptureError, match=r"^out of memory$"):
        CudaCapture(CPU)(lambda: None)


def test_after_a_failed_capture_nothing_holds_what_it_has_computed():
    """The eager step needs the memory."""
    batch, held = SimpleNamespace(copied=lambda: batch, take=lambda _: None), []

    def compute(*_):
        tensor = torch.zeros(3)
        gone = [reference() is None for reference in held]
        held.append(weakref.ref(tensor))
        if len(held) == 2:
            raise RuntimeError("out of memory")
        return gone

    def capture(function):
        try:
            function()
        except RuntimeError as error:
            raise CaptureError(str(error)) from error

    graphs = StepGraphs(capture, lambda: None, must=False)
    random = StepRandom(1, 0, 4, CPU)
    assert graphs.run("variant", batch, random, compute) == []
    assert graphs.run("variant", batch, random, compute) == [True, True]
    assert graphs.failure == "out of memory"


def test_graphs_that_the_user_demands_must_be_captured(make_training):
    def fail(function):
        raise CaptureError("out of memory")

    training = with_graphs(make_training(), fail, must=True)
    training.step(1)
    with pytest.raises(UserError, match=r"graphs=on: .* \(out of memory\); take graphs=auto"):
        training.step(2)


@pytest.mark.parametrize(("graphs", "eager"), [("on", 1), ("auto", EAGER_RUNS)])
def test_a_cpu_records_a_step_that_is_worth_it(make_training, graphs, eager):
    training = make_training(f"graphs={graphs}", "contrast.every=2", "model.pl_weight=0", "model.r1_gamma=0")
    variants, other = training.graphs._variants, make_training("graphs=off")
    assert other.graphs is None
    for step in range(2 * eager):
        training.step(step)
        assert all(variant.replay is None for variant in variants.values())
    for step in range(2 * eager, 2 * eager + 2):
        training.step(step)
    assert [variant.replay is None for variant in variants.values()] == [False, False]


def test_a_training_that_has_ended_leaves_nothing_in_memory(make_training):
    """Not even until Python looks for garbage in cycles: the next trial of the process begins before."""
    training = make_training("graphs=on")
    for step in range(1, 4):
        training.step(step)
    assert training.graphs.failure is None
    left = [weakref.ref(training.state), weakref.ref(training.state.generator), weakref.ref(training.graphs)]
    gc.collect()
    gc.disable()
    try:
        del training
        assert [reference() for reference in left] == [None] * 3
    finally:
        gc.enable()


def test_a_failed_capture_leaves_no_note_of_the_scaler_behind(make_training):
    state = make_training().state
    state.generator_optimizer.grad_scale = state.generator_optimizer.found_inf = torch.ones(())
    state.reset()
    assert not vars(state.generator_optimizer).keys() & {"grad_scale", "found_inf"}


def test_where_steps_run_eagerly(make_training, cache_dir):
    training = make_training()
    for override in ("graphs=off", "compile=default"):
        assert graphs_of(make_config(*tiny(cache_dir, override)), training.state, CPU) is None
    assert training.graphs is not None
    check_graphs("auto", processes=2)
    check_graphs("on", processes=1)


def test_a_run_is_refused_before_anything_is_prepared(tmp_path, monkeypatch):
    monkeypatch.setattr("clipgan.engine.start_run.planned_size", lambda: 2)
    with pytest.raises(UserError, match="graphs=on is not allowed with 2 processes"):
        train(make_config(*tiny(tmp_path / "cache", "graphs=on")), tmp_path / "run")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["graphs=yes"], "graphs=yes is not allowed: graphs must be one of auto, on, off"),
        (["graphs=on", "compile=default"], "graphs=on is not allowed: graphs must be auto or off with compile=default"),
    ],
)
def test_what_is_refused(cache_dir, overrides, message):
    with pytest.raises(UserError, match=message):
        make_config(*tiny(cache_dir, *overrides))


def test_yaml_may_say_on_and_off(cache_dir):
    assert make_config(*tiny(cache_dir, "graphs=true")).graphs == "on"
    assert make_config(*tiny(cache_dir, "graphs=false")).graphs == "off"


def test_what_is_due(cache_dir):
    config = make_config(*tiny(cache_dir, "contrast.every=2", "model.pl_weight=0"))
    assert [due_at(config, step) for step in (0, 1, 16)] == [
        (True, True, False),
        (False, False, False),
        (True, True, False),
    ]


def test_drawn_tensors_keep_their_place_and_draw_as_before():
    def draw(random):
        halves = random.halves()
        return [
            random.rows("noise", range(8))((8, 3, 5)),
            random.rows("noise", range(4, 8))((4, 40)),
            halves.rows("noise", range(4))((4, 2)),
            random.integer("crossover", lambda generator: int(torch.randint(100, (), generator=generator))),
        ]

    drawn, places = DrawnTensors(), set()
    for step in range(3):
        random = StepRandom(1, step, 4, CPU)
        drawn.refill(random)
        found = draw(StaticRandom.of(random, drawn))
        places.add(tuple(tensor.data_ptr() for tensor in found))
        for ours, theirs in zip(found, draw(random), strict=True):
            assert torch.equal(ours, theirs)
    assert len(places) == 1


def test_a_step_makes_no_draw_twice(make_training):
    """The static tensors are named by use, rows and shape."""
    training = with_graphs(make_training())
    training.step(1)
    [variant] = training.graphs._variants.values()
    names = [key if isinstance(key, str) else key[0] for key in variant.drawn._refills]
    assert sorted(names) == sorted(
        f"{network} {what}" for network in "DG" for what in ("style mixing", "first latent", "second latent", "noise")
    )
