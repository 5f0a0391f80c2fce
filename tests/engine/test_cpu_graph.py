"""What a CPU records of a step, what it repeats, and what it refuses to record."""

import weakref

import numpy as np
import pytest
import torch

from clipgan.engine.cpu_graph import CpuCapture
from clipgan.engine.divergence import Watched
from clipgan.engine.step_graphs import CaptureError, StepOutputs


def step_of(compute):
    """Make a step that returns the tensors which `compute` returns."""

    def step():
        values = compute()
        return StepOutputs(dict(enumerate(values)), Watched([], torch.ones((), dtype=torch.bool)))

    return step


def assert_repeats(compute, x):
    """Record `compute`, which reads x, and compare repetitions with plain calls for other values of x."""
    captured = CpuCapture()(step_of(compute))
    for _ in range(2):
        x.normal_() if x.is_floating_point() else x.add_(1)
        repeated, plain = captured.replay().values, dict(enumerate(compute()))
        assert repeated.keys() == plain.keys()
        for name, value in plain.items():
            assert repeated[name].dtype == value.dtype, name
            assert torch.equal(repeated[name], value), name


def test_a_step_with_gradients_and_an_optimiser_is_repeated():
    weight, other = (torch.nn.Parameter(torch.ones(3, 3)) for _ in range(2))
    x = torch.randn(3, 3)
    optimizers = [torch.optim.Adam([each], fused=True) for each in (weight, other)]

    def compute(weight, optimizer):
        optimizer.zero_grad(set_to_none=True)
        loss = (x @ weight).sin().square().mean()
        loss.backward()
        optimizer.step()
        return [loss.detach()]

    for each, optimizer in zip((weight, other), optimizers, strict=True):
        compute(each, optimizer)  # the optimiser makes its state
    captured = CpuCapture()(step_of(lambda: compute(weight, optimizers[0])))
    assert torch.equal(captured.outputs.values[0], compute(other, optimizers[1])[0])
    for _ in range(3):
        x.normal_()
        assert torch.equal(captured.replay().values[0], compute(other, optimizers[1])[0])
    assert torch.equal(weight, other)
    assert torch.equal(optimizers[0].state[weight]["step"], torch.tensor(5.0))


def test_arguments_of_each_kind_are_repeated():
    x, places = torch.randn(4, 6), torch.tensor([2, 0])

    def compute():
        wide = x.view(1, 4, 6, 1).contiguous(memory_format=torch.channels_last)
        first, second = x.split([2, 4], dim=1)
        return [
            x[places], x[:, None, places], x.sum(dim=()), x.mean(dim=(0, 1)), wide + 1, x.to(torch.float64) * 0.1,
            first @ second[:2], torch.cat([first, second * 2], dim=1), x.div(0.3, rounding_mode="floor"),
            torch.arange(4) * 3, torch.where(x > 0, x, -0.0), *torch._foreach_mul([x, first], [0.5, 3.0]), *x.unbind(),
            *x.topk(2), x.clamp(min=0.25), x.pow(2), torch.full((2,), 3), x.isfinite(), (x > 0).sum(),
            torch.zeros(4, 6, dtype=torch.bool).scatter(1, torch.zeros(4, 1, dtype=torch.int64), True),
            x.new_zeros(3), x.clone().t_().unsqueeze_(0) + 1,
            torch.nn.functional.pad(x, (1, 2)), *torch.var_mean(x, dim=1),
            x.detach() + 1, torch.stack([x, x.exp()]),
        ]  # fmt: skip

    assert_repeats(compute, x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64])
def test_numbers_are_as_exact_as_before(dtype):
    """A number is not rounded to a tensor's dtype before the operation, where PyTorch does not."""
    x = torch.arange(1, 9).to(dtype)
    assert_repeats(lambda: [x * (1 / 3), x + 7, 1e-3 - x, x[0] * (1 / 3), x / 3, (x > 2) * 0.1], x)


def test_writes_are_repeated():
    counter, x = torch.zeros(()), torch.ones(2)

    def compute():
        counter.add_(1)
        whole = x * 2
        whole[:1].copy_(x.exp()[:1])
        return [whole]

    captured = CpuCapture()(step_of(compute))
    x.fill_(2)
    assert torch.equal(captured.replay().values[0], torch.tensor([2.0, 4.0]).where(torch.arange(2) > 0, x.exp()))
    assert counter == 2


def test_recording_keeps_nothing_alive():
    """The feature maps of a large step would not fit."""
    x, seen = torch.ones(4, requires_grad=True), []

    def compute():
        middle = x * 2
        seen.append(weakref.ref(middle))
        middle.square().sum().backward()
        del middle
        assert seen[-1]() is None
        return [x.grad.sum()]

    captured = CpuCapture()(step_of(compute))
    assert captured.replay().values[0] == 32


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (lambda x: x.sum().item(), "aten._local_scalar_dense.default: it depends on values"),
        (lambda x: bool(x[0] > 0), "it depends on values"),
        (lambda x: x.tolist(), "Tensor.tolist reads values"),
        (lambda x: x.numpy(), "Tensor.numpy reads values"),
        (lambda x: x[x > 0], "aten.index.Tensor: it depends on values"),
        (lambda x: x.nonzero(), "aten.nonzero.default: it depends on values"),
        (np.asarray, "Tensor.__array__ reads values"),
        (lambda x: torch.randn(2), "aten.randn.default: it draws random numbers"),
        (lambda x: torch.tensor(0.5) + x, "aten.lift_fresh.default: it makes a tensor from Python's numbers"),
        (lambda x: torch.nn.Parameter(x * 2) + 1, "a tensor that the step has made without an operation"),
        (lambda x: torch.full((2,), True), "aten.full.default: True stands for a number"),
        (lambda x: torch._foreach_mul([x > 0], [True]), "True stands for a number"),
        (lambda x: torch.randn(2, generator=torch.Generator()), "aten.randn.generator: it draws random numbers"),
        (lambda x: x.double() * True, "aten.mul.Tensor: TorchScript takes it for no operation that it has"),
    ],
)
def test_what_cannot_be_repeated_runs_once_and_is_refused(read, reason):
    x, ran = torch.ones(3), []

    def compute():
        read(x)
        ran.append(None)
        return [x + len(ran)]

    with pytest.raises(CaptureError) as error:
        CpuCapture()(step_of(compute))
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert torch.equal(error.value.outputs.values[0], x + 1)
    assert len(ran) == 1


def test_an_error_of_the_step_is_its_own():
    with pytest.raises(ZeroDivisionError):
        CpuCapture()(step_of(lambda: [torch.ones(1 // 0)]))


def test_an_error_of_a_repetition_is_the_operations():
    x, place = torch.ones(3), torch.tensor([2])
    captured = CpuCapture()(step_of(lambda: [x[place]]))
    place.fill_(9)
    with pytest.raises(RuntimeError, match=r"^index 9 is out of bounds for dimension 0 with size 3$"):
        captured.replay()


def test_a_recorded_training_keeps_no_gradients(make_training):
    training = make_training("graphs=on")
    for step in (1, 2):
        training.step(step)
    networks = training.state.generator, training.state.discriminator
    assert all(parameter.grad is None for network in networks for parameter in network.parameters())


@pytest.mark.parametrize("name", ["Graph", "TensorType", "TupleType", "_create_function_from_graph"])
def test_a_pytorch_without_this_interface_is_refused(monkeypatch, name):
    monkeypatch.delattr(torch._C, name)
    with pytest.raises(CaptureError, match=name) as error:
        CpuCapture()(step_of(lambda: [torch.ones(2).sum()]))
    assert error.value.outputs.values[0] == 2
