"""A step in micro-batches or over two processes has the gradient of the whole batch."""

import copy
import socket
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from clipgan.models.losses.adversarial import path_length_penalty, path_lengths
from clipgan.tasks.gan import passes, regularisers, steps
from clipgan.tasks.gan.training import Training
from tests import warm
from tests.helpers import make_config
from tests.numeric import CLOSE, in_float64, prepare_in_float64
from tests.tasks.gan.steps_of_training import (
    CPU,
    assert_close,
    discriminator_update,
    generator_update,
    step_random,
    with_noise,
)
from tests.tiny import tiny

pytestmark = pytest.mark.numeric


VARIANTS = {
    "symmetric": [],
    "asymmetric": ["loss=asymmetric"],
    "selection and further targets": ["pairs=drop_false_negative", "contrast.negatives=20"],
    "pseudo-classes, mixed": ["pairs=weakly_supervised", "condition=mixed"],
    "badly fitting captions": ["pairs=drop_false_positive", "pairs.fraction=0.3"],
    "source": ["heterologous=source", "features=online"],
    "multi-scale, adaptive": ["model=msg", "augment=ada"],
    "relativistic": ["adversarial=relativistic", "adversarial.mismatch=0.5", "loss.temperature.learned=true"],
    "projected": [
        "discriminator=projected", "adversarial=relativistic", "adversarial.mismatch=1", "model.r1_gamma=1",
        "loss.temperature.learned=true",
    ],
}  # fmt: skip
LAFITE = ["model=lafite", "loss=lafite", *(f"model.{key}=16" for key in ("z_dim", "w_dim", "channel_max"))]
LAFITE += ["model.channel_base=64", "model.mapping_layers=2", "adversarial.mismatch=0.5"]


SLOW_IN_FLOAT64 = (pytest.mark.slow, pytest.mark.exact)
KINDS = ("D", "G", "R1", "path length")  # of steps


def first_steps(training, batch, kinds=KINDS):
    """The gradients and values of each kind of step, each from the initial state: Adam would amplify rounding."""
    objective, random, found, values = training.objective, step_random(training), {}, {}
    batch = steps.online_features(batch, objective)
    for name, network, step in (
        ("D", "discriminator", lambda state: discriminator_update(state, batch, objective, random)),
        ("G", "generator", lambda state: generator_update(state, batch, objective, random)),
        ("R1", "discriminator", lambda state: regularisers.gradient_penalty_step(state, batch, objective, random)),
        ("path length", "generator", lambda state: regularisers.path_length_step(state, batch, objective, random)),
    ):
        if name not in kinds:
            continue
        state = copy.deepcopy(training.state)
        with state.differentiated_twice() if name in ("R1", "path length") else nullcontext():
            values |= {key: float(value) for key, value in step(state).items()}
        parameters = [*getattr(state, network).named_parameters(), *state.temperatures.named_parameters()]
        gradients = {key: parameter.grad for key, parameter in parameters}
        found |= {f"{name} {key}": gradient for key, gradient in gradients.items() if gradient is not None}
        if name == "D":
            values["w_average"] = float(state.generator.mapping.w_average.norm())
    return found, values


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    "variant", ["symmetric", *(pytest.param(name, marks=SLOW_IN_FLOAT64) for name in list(VARIANTS)[1:])]
)
def test_gradient_caching_equals_the_large_batch(make_noisy_training, variant):
    whole = make_noisy_training(*VARIANTS[variant])
    parts = make_noisy_training(*VARIANTS[variant], "accumulate=4", "contrast.grad_cache=true")
    batch = whole.batches.at(2)
    expected, expected_values = first_steps(whole, batch)
    found, values = first_steps(parts, batch)
    assert values == pytest.approx(expected_values, rel=CLOSE)
    assert_close(found, expected)


@pytest.mark.usefixtures("float64")
def test_without_caching_each_part_contrasts_with_itself(make_noisy_training):
    """The step's gradient is the mean of the parts' own, each computed as a batch."""
    whole, alone = make_noisy_training("accumulate=4"), make_noisy_training()
    batch = whole.batches.at(2)
    kinds = ("D", "G", "R1")  # lengths are compared with a mean of the whole batch
    found, values = first_steps(whole, batch, kinds)
    parts = [first_steps(alone, part, kinds) for part in batch.parts(4)]
    expected = {name: sum(gradients[name] for gradients, _ in parts) / 4 for name in found}
    assert_close(found, expected)
    for name in ("D/D/it", "G/CLIP/ii_het", "loss/G", "loss/D"):
        assert values[name] == pytest.approx(sum(part[name] for _, part in parts) / 4, rel=CLOSE)


@pytest.mark.usefixtures("float64")
def test_path_lengths_in_parts(make_noisy_training):
    """The first two of each block of four rows; the mean moves once, by a hundredth towards that of the whole batch."""
    training = make_noisy_training("accumulate=4")
    batch, state, objective, random = training.batches.at(2), training.state, training.objective, step_random(training)
    lengths, halves = [], random.halves()
    for number, part in enumerate(batch.parts(4)):
        half = part.halves(4)
        assert half.rows == range(4 * number, 4 * number + 4)
        assert torch.equal(half.condition, part.condition[[0, 1, 4, 5]])
        ws = passes.styles(state, half, training.config, halves, "path length")
        with state.differentiated_twice():
            images = state.generate(ws, half.condition, passes.noise(state, half, halves, "path length")).image
        lengths.append(path_lengths(images, ws, halves.rows("path length direction", half.rows)).detach())
    mean = 0.01 * torch.cat(lengths).mean()
    with state.differentiated_twice():
        values = regularisers.path_length_step(state, batch, objective, random)
    expected = path_length_penalty(torch.cat(lengths), mean)
    assert float(values["loss/path_length"]) == pytest.approx(float(expected), rel=CLOSE)
    assert float(state.path_length_mean) == pytest.approx(float(mean), rel=CLOSE)


ALONE = "LAFITE's networks, each process alone"
MORE_VARIANTS = VARIANTS | {
    "LAFITE's networks": LAFITE,
    ALONE: [*LAFITE, "pairs=drop_false_negative", "model.lafite.contrast=process", "model.lafite.text_logit=process"],
}
PROCESSES = (
    "symmetric",
    "selection and further targets",
    "multi-scale, adaptive",
    "projected",
    "LAFITE's networks",
    ALONE,
)  # variants that are tried with two
LAFITES = ("LAFITE's networks", ALONE)  # not with caching: their D adds up over a micro-batch
CACHED = ["accumulate=2", "contrast.grad_cache=true"]


def one_of_two_processes(rank, address, overrides, results):
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    torch.set_num_threads(1)
    with in_float64():
        first_steps_of_all(overrides, results, rank)
    torch.distributed.destroy_process_group()


def first_steps_of_all(overrides, results, rank):
    for variant in PROCESSES:
        for name, more in (("plain", []), ("cached", CACHED)):
            if variant in LAFITES and name == "cached":
                continue
            config = make_config(*overrides, *MORE_VARIANTS[variant], *more)
            training = with_noise(Training(config, results, prepare_in_float64(config), CPU, None))
            found = first_steps(training, training.batches.at(2))
            torch.save(found, results / f"{variant} {name} {rank}.pt")


@pytest.mark.exact
@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_two_processes_equal_one(make_noisy_training, cache_dir, tmp_path):
    """Two gloo ranks, each with half of the batch, whole or in micro-batches.

    One process with two micro-batches equals two processes of which each contrasts its own rows.
    """
    expected = {}
    for variant in PROCESSES:
        training = make_noisy_training(*MORE_VARIANTS[variant], *(["accumulate=2"] if variant == ALONE else []))
        expected[variant, "plain"] = first_steps(training, training.batches.at(2))
        if variant not in LAFITES:
            expected[variant, "cached"] = expected[variant, "plain"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    overrides = tiny(cache_dir, "batch=32", "mlflow.tracking_uri=null")
    warm.call_by_ranks(one_of_two_processes, address, overrides, tmp_path, processes=2)
    for (variant, name), (gradients, values) in expected.items():
        for rank in range(2):
            ours, our_values = torch.load(tmp_path / f"{variant} {name} {rank}.pt")
            assert our_values == pytest.approx(values, rel=CLOSE)
            assert_close(ours, gradients)


SHORT = ["kimg=1", "metrics.n_images=16", "mlflow.tracking_uri=null"]


def train_in_float64(rank, address, overrides, results):
    if address is not None:
        torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    torch.set_num_threads(1)
    config = make_config(*overrides)
    with in_float64():
        training = Training(config, results, prepare_in_float64(config), CPU, None)
        for step in range(training.schedule.total_steps):
            training.step(step)
        evaluation = training.evaluation
        evaluation.prompts = replace(evaluation.prompts, conditions=evaluation.prompts.conditions.double())
        fid = evaluation(training.state.generator_ema, last=False)[training.key]
    (results / f"fid {rank}.txt").write_text(f"{fid!r}")


@pytest.mark.endurance
def test_a_training_of_two_processes_has_the_fid_of_one(cache_dir, tmp_path):
    """1 kimg and 16 images. In float32 a GAN's steps amplify rounding, until both FIDs are right and differ."""
    for name, processes in (("one", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"tcp://127.0.0.1:{free.getsockname()[1]}" if processes > 1 else None
        overrides = tiny(cache_dir, *SHORT)
        warm.call_by_ranks(train_in_float64, address, overrides, tmp_path / name, processes=processes)
    one, *two = (float((tmp_path / name).read_text()) for name in ("one/fid 0.txt", "two/fid 0.txt", "two/fid 1.txt"))
    assert two == pytest.approx([one, one], rel=1e-6)  # square roots of eigenvalues: tests/metrics/test_evaluation.py
