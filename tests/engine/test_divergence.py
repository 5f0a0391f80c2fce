"""Values that are not finite: the tests cause each kind in a real step, and the message names it."""

import dataclasses
import math
import os
import socket

import pytest
import torch

from clipgan.base.errors import DivergenceError
from clipgan.engine.divergence import Fault, Watch
from clipgan.engine.optimizer_step import OVERFLOWS
from clipgan.tasks.gan.preparation import prepare
from clipgan.tasks.gan.training import Training
from clipgan.tasks.train import train
from tests import warm
from tests.helpers import make_config
from tests.tiny import tiny

CPU = torch.device("cpu")
NAN = torch.tensor(float("nan"))


@pytest.fixture
def training(make_training):
    return make_training()


def test_the_first_fault_is_named():
    watch = Watch()
    for step in range(3):
        watch.see("a", torch.ones(3))
        watch.see("b", torch.tensor([1.0, math.inf]) if step else torch.zeros(2))
        watch.see("c", NAN if step == 1 else torch.ones(()))
        watch.end_step(step)
    assert watch.fault() == Fault("b", 1)
    assert watch.fault() is None


def test_a_gradient_becomes_a_fault_only_after_its_patience():
    watch, [parameter] = Watch(), [torch.zeros(2, requires_grad=True)]
    told = []
    for step, good in enumerate((True, False, False, True, False, False, False)):
        parameter.grad = torch.ones(2) if good else torch.full((2,), math.inf)
        watch.see_gradient("G/gradient", [parameter], patience=3)
        watch.end_step(step)
        told.append(watch.fault())
    assert told == [None] * 6 + [Fault("G/gradient", 6)]


def spoil_weight(training):
    torch.nn.init.constant_(next(training.state.generator.parameters()), math.inf)


def spoil_gradient(training):
    parameter = next(training.state.generator.parameters())
    parameter.register_hook(lambda gradient: gradient * NAN)


def spoil_features(training):
    at = training.batches.at
    training.batches.at = lambda step: dataclasses.replace(at(step), clip_image=at(step).clip_image * NAN)


def spoil_embedding(training):
    encode = training.clip.encode_image
    training.clip.encode_image = lambda *given: encode(*given) * NAN


def spoil_penalty(training):
    """Of R1: the gradient of the logits in the images."""

    def hook(module, given, judged):
        images = given[0].image
        if images.requires_grad and images.is_leaf:
            images.register_hook(lambda gradient: gradient * NAN)

    training.state.discriminator.register_forward_hook(hook)


def spoil_path_length(training):
    """Its gradient alone, which has steps of its own."""
    parameter = next(training.state.generator.parameters())
    update = training.state.update

    def spoilt(optimizer, gradient):
        if gradient == "G/path_length/gradient":
            parameter.grad *= NAN
        update(optimizer, gradient)

    training.state.update = spoilt


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (spoil_weight, "G/images"),
        (spoil_gradient, "G/gradient"),
        (spoil_path_length, "G/path_length/gradient"),
        (spoil_features, "D/D/ii/target"),
        (spoil_embedding, "G/CLIP/embedding"),
        (spoil_penalty, "loss/r1"),
    ],
)
def test_a_fault_in_a_step_is_found_where_it_began(training, spoil, name):
    for step in range(14, 18):  # R1's turn is at 16
        if step == 16:
            spoil(training)
        training.step(step)
    assert training.state.watch.fault() == Fault(name, 16)


def test_fp16_tolerates_overflows_but_not_gradients_that_are_always_nan(cache_dir, tmp_path):
    config = make_config(*tiny(cache_dir, "mlflow.tracking_uri=null", "precision=fp16", "batch=8"))
    training = Training(config, tmp_path, prepare(config, CPU), CPU, None)
    watch = training.state.watch
    training.step(1)
    spoil_gradient(training)
    for step in range(2, 1 + OVERFLOWS):
        training.step(step)
    assert watch.fault() is None
    training.step(1 + OVERFLOWS)
    assert watch.fault() == Fault("G/gradient", 1 + OVERFLOWS)


def one_of_two_processes(rank, port, overrides, folder):
    """Its own images are spoilt in step 40 if it is the second."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    step = Training.step

    def spoilt(training, number):
        if (rank, number) == (1, 40):
            generate = training.state.generate
            training.state.generate = lambda *given: generate(*given).map(lambda image: image * NAN)
        return step(training, number)

    Training.step = spoilt
    with pytest.raises(DivergenceError) as caught:
        train(make_config(*overrides), folder / "run")
    (folder / f"{rank}.txt").write_text(str(caught.value))


@pytest.mark.slow
def test_a_fault_in_one_process_has_the_same_name_in_all(cache_dir, tmp_path):
    """Each step has a checkpoint, before which all of them look."""
    overrides = tiny(cache_dir, "batch=32", "mlflow.tracking_uri=null", "checkpoint_minutes=0")
    prepare(make_config(*overrides), CPU)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    warm.call_by_ranks(one_of_two_processes, port, overrides, tmp_path, processes=2)
    expected = f"G/images is not finite in step 41; the last good checkpoint is {tmp_path}/run/latest.pt"
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in range(2)] == [expected] * 2


@pytest.mark.slow
def test_divergence_ends_the_run_and_leaves_the_last_good_checkpoint(cache_dir, tmp_path, monkeypatch):
    step = Training.step

    def spoilt(training, number):
        if number == 40:
            spoil_gradient(training)
        return step(training, number)

    config = make_config(*tiny(cache_dir, "batch=32", "mlflow.tracking_uri=null", "checkpoint_minutes=0"))
    place = rf"G/gradient is not finite in step 41; the last good checkpoint is {tmp_path}/latest\.pt"
    with monkeypatch.context() as patch:
        patch.setattr(Training, "step", spoilt)
        with pytest.raises(DivergenceError, match=place):
            train(config, tmp_path)
    assert "NaN" not in (tmp_path / "metrics.jsonl").read_text()
    assert train(config, tmp_path).objective > 0  # from step 40 on
