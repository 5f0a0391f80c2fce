"""The steps of the algorithm: their updates, and the moving average against its closed form."""

import copy
import dataclasses
import itertools
import socket

import numpy as np
import pytest
import torch

from clipgan.base.randomness import StepRandom, stream, stream_seed
from clipgan.base.vectors import unit
from clipgan.config import ModelConfig
from clipgan.inputs.features.feature_writer import ROW_ERROR
from clipgan.models.losses.adversarial import path_length_penalty, path_lengths, r1_penalty
from clipgan.models.networks.generator import Generator
from clipgan.models.networks.scales import Scales
from clipgan.tasks.gan import steps
from clipgan.tasks.gan.ema import ema_decay, update_ema
from clipgan.tasks.gan.preparation import prepare
from clipgan.tasks.gan.steps import discriminator_step, generator_step
from clipgan.tasks.gan.training import Training
from tests.helpers import make_config
from tests.models.losses.test_pairs import brute_force
from tests.numeric import CLOSE, assert_apart, in_float64, prepare_in_float64, rounding
from tests.tiny import tiny

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")
MODEL = ModelConfig(z_dim=4, w_dim=4, text_dim=4, mapping_layers=1, channel_base=32, channel_max=4)


def test_ema_decay_is_a_half_life():
    model = ModelConfig(ema_kimg=1, ema_rampup=0)
    assert ema_decay(model, images=10**6, batch=10) ** 100 == pytest.approx(0.5)
    ramped = ModelConfig(ema_kimg=1, ema_rampup=0.05)
    assert ema_decay(ramped, images=2000, batch=10) ** 10 == pytest.approx(0.5)  # half-life 0.05 * 2000 images


@pytest.mark.usefixtures("float64")
def test_ema_of_every_parameter_and_buffer():
    average, generator = Generator(MODEL, 8, 8), Generator(MODEL, 8, 8)
    generator.mapping.w_average.fill_(3)
    expected = [0.9 * a + 0.1 * g for a, g in zip(average.parameters(), generator.parameters(), strict=True)]
    update_ema(average, generator, 0.9)
    for mean, value in zip(average.parameters(), expected, strict=True):
        torch.testing.assert_close(mean, value)
    assert (average.mapping.w_average == 3).all()


def test_streams_depend_on_seed_name_and_index_only():
    seeds = {stream_seed(seed, name, index) for seed in (0, 1) for name in ("a", "b") for index in (0, 1)}
    assert len(seeds) == 8
    torch.testing.assert_close(torch.randn(3, generator=stream(1, "a", 5)), torch.randn(3, generator=stream(1, "a", 5)))


def test_rows_draw_the_same_whole_and_in_parts():
    def draw(first, last, name="noise", step=3):
        return StepRandom(1, step, 4, CPU).rows(name, range(first, last))((last - first, 2, 5))

    whole = draw(0, 12)
    torch.testing.assert_close(torch.cat([draw(0, 8), draw(8, 12)]), whole)
    assert whole.unique().numel() == whole.numel()
    assert not torch.equal(draw(0, 4), draw(0, 4, name="latent"))
    assert not torch.equal(draw(0, 4), draw(0, 4, step=4))


@pytest.fixture
def make_training(cache_dir, tmp_path):
    def make(*overrides):
        config = make_config(*tiny(cache_dir, "mlflow.tracking_uri=null", *overrides))
        prepared = prepare_in_float64(config) if torch.get_default_dtype() == torch.float64 else prepare(config, CPU)
        return with_noise(Training(config, tmp_path, prepared, CPU, None))

    return make


def with_noise(training):
    """Let noise and augmentation show: both begin at zero."""
    for parameter in training.state.generator.parameters():
        if parameter.ndim == 0:
            torch.nn.init.constant_(parameter, 0.3)
    if training.config.augment.name == "ada":
        training.state.augmentation.p.fill_(0.5)
    return training


def assert_close(ours, theirs):
    """Every gradient, relative to the largest entry in its step: a scalar is a sum of many that nearly cancel."""
    assert ours.keys() == theirs.keys()
    for step in ("D", "G", "R1", "path length"):
        names = [name for name in theirs if name.startswith(f"{step} ")]
        scale = max((float(theirs[name].abs().max()) for name in names), default=0)
        for name in names:
            torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=CLOSE * scale, msg=name)


def discriminator_update(state, batch, objective, random):
    """Its values."""
    return discriminator_step(state, batch, objective, random)[0]


def generator_update(state, batch, objective, random):
    """Its values, where D has had no step before."""
    with torch.no_grad():
        semantic = unit(state.judge(steps._real(batch, objective.config), batch.condition).semantic)
    return generator_step(state, batch, semantic, objective, random)


def step_random(training, step=3):
    return StepRandom(training.config.seed, step, training.config.model.mbstd_group, CPU)


SELECTED = [
    ["pairs=drop_false_negative", "pairs.fraction=0.3", "contrast.negatives=20"],
    ["pairs=add_new_positive", "pairs.similarity=text", "contrast.negatives=20"],
    ["pairs=drop_false_positive", "pairs.fraction=0.3"],
    ["loss=asymmetric", "pairs=weakly_supervised", "features=online"],
]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("overrides", [
    *([f"loss={loss}", f"features={features}"] for loss in ("symmetric", "asymmetric", "lafite")
      for features in ("preprocessed", "online")),
    *SELECTED,
], ids=" ".join)  # fmt: skip
def test_every_term_of_a_step_contrasts_what_the_notation_says(make_training, overrides):
    """Runs the real steps on a real batch, and recomputes each value from embeddings, in loops and float64."""
    training = make_training(*overrides)
    state, batch, spaces, config = training.state, training.batches.at(3), training.objective.spaces, training.config
    if overrides in SELECTED:
        batch = distinct(batch)

    with torch.no_grad():
        random = step_random(training)
        ws = steps._styles(state, batch, training.objective, random, "G")
        fake = state.generate(ws, batch.condition, steps._noise(state, batch, random, "G"))
        f_d = {name: state.discriminator(images, batch.condition).semantic for name, images in
               (("fake", fake), ("real", steps._real(batch, config)))}  # fmt: skip
        fake = fake.image
        more = batch.further
        u = batch.text if more is None else torch.cat([batch.text, more.text])
        v = spaces.clip.encode_image(batch.images) if config.features == "online" else batch.clip_image
        v = v if more is None else torch.cat([v, more.clip_image])
        anchors = {"G/D": f_d["fake"], "D/D": f_d["real"], "G/CLIP": spaces.clip.encode_image(fake)}
        targets = {"G/D/it": u, "G/CLIP/it": u, "D/D/it": u, "G/D/ii": unit(f_d["real"]), "G/CLIP/ii": v, "D/D/ii": v}
        if spaces.resnet is not None:
            anchors["G/ResNet"] = spaces.resnet.encode_image(fake)
            targets["G/ResNet/it"] = unit(u @ spaces.text_to_resnet)
            r = spaces.resnet.encode_image(batch.images)
            if config.features == "preprocessed":  # in half precision, by an encoder that computes in float32
                assert (batch.resnet_image - r).norm(dim=1).max() <= ROW_ERROR + rounding(100)
                r = batch.resnet_image
            targets["G/ResNet/ii"] = r if more is None else torch.cat([r, more.resnet_image])
    batch = steps.online_features(batch, training.objective)
    values = generator_update(copy.deepcopy(state), batch, training.objective, step_random(training))
    others, semantic = discriminator_step(state, batch, training.objective, step_random(training))
    torch.testing.assert_close(semantic, torch.nn.functional.normalize(f_d["real"], dim=1))
    values |= {name: value for name, value in others.items() if name.startswith("D/")}
    logged = {name for name in values if name.count("/") == 2}
    factors = {"": config.loss.name != "lafite", "_het": True}  # lafite's homologous direction has weight 0
    assert logged == {term.name + suffix for term in training.terms for suffix, on in factors.items() if on}
    kind = "text" if config.pairs.similarity == "text" else "clip_image"
    own = getattr(batch, kind)
    likeness = (own @ (own if more is None else torch.cat([own, getattr(more, kind)])).T).double().numpy()
    fit = (batch.text * batch.clip_image).sum(dim=1).double().numpy()
    if overrides in SELECTED:  # by the order of these
        assert_apart(np.where(np.eye(*likeness.shape, dtype=bool), -2, likeness))
        assert_apart(fit)
    for name in logged:
        term = name.removesuffix("_het")
        a, b = unit(anchors[term.rsplit("/", 1)[0]]).numpy(), targets[term].numpy()
        assert np.abs(np.linalg.norm(b, axis=1) - 1).max() <= ROW_ERROR + rounding(100)  # as stored
        if name.endswith("_het"):
            expected = brute_force(config.pairs, likeness[:, :32], fit, b[:32], a, 0.5)
        else:
            expected = brute_force(config.pairs, likeness[:, : len(b)], fit, a, b, 0.5)
        assert float(values[name]) == pytest.approx(expected, rel=CLOSE), name


def distinct(batch):
    """The batch with random CLIP features: a small CLIP that hardly trained finds many images exactly alike."""

    def features(of):
        random = {name: torch.randn_like(getattr(of, name)) for name in ("text", "clip_image")}
        return {name: torch.nn.functional.normalize(rows, dim=1) for name, rows in random.items()}

    torch.manual_seed(0)
    further = batch.further and dataclasses.replace(batch.further, **features(batch.further))
    return dataclasses.replace(batch, further=further, **features(batch))


def test_the_two_networks_have_latents_and_noise_of_their_own(make_training):
    training = make_training()
    batch, random = training.batches.at(0), step_random(training)
    styles = [steps._styles(training.state, batch, training.objective, random, use) for use in "DG"]
    assert not torch.isclose(*styles).any(dim=2).all()
    seen, original = [], StepRandom.rows

    def rows(self, name, rows):
        seen.append(name)
        return original(self, name, rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StepRandom, "rows", rows)
        patch.setattr(StepRandom, "shared", lambda self, name: seen.append(name) or stream(0, name))
        training.step(0)
    assert len(seen) == len(set(seen))  # D, G and path length: nothing is drawn twice


def test_a_space_whose_terms_are_all_off_is_never_run(make_training, monkeypatch):
    """Counts the passes through the frozen encoders, of generated images as of real ones."""
    counts = {}

    def count(space, overrides):
        training = make_training("features=online", *overrides)
        batch, encoder = training.batches.at(0), getattr(training.objective.spaces, space)
        if encoder is None:
            return 0
        counts[space] = 0

        def encode(images, original=encoder.encode_image):
            counts[space] += 1
            return original(images)

        monkeypatch.setattr(encoder, "encode_image", encode)
        steps.train_step(training.state, batch, training.objective, 1)
        return counts[space]

    assert count("clip", []) == 2  # generated images; v, once for G and D
    assert count("clip", ["S.CLIP=0"]) == 1  # v for D's own ii term
    assert count("clip", ["S.CLIP=0", "C_ii=0"]) == 0
    assert count("resnet", []) == 2
    assert count("resnet", ["S.ResNet=0"]) == 0
    assert count("resnet", ["loss=lafite"]) == 0


@pytest.mark.parametrize("overrides", [[], ["C_ii=0"], ["loss=asymmetric"], ["loss=lafite"]])
def test_no_structure_costs_a_pass_of_the_discriminator(make_training, monkeypatch, overrides):
    """Real and generated images in its own step, generated ones in the generator's: f_D(x) is taken from the former."""
    training, calls = make_training(*overrides), []
    forward = training.state.discriminator.forward
    monkeypatch.setattr(training.state.discriminator, "forward", lambda *x: calls.append(1) or forward(*x))
    steps.train_step(training.state, training.batches.at(1), training.objective, 1)
    assert len(calls) == 3


@pytest.mark.usefixtures("float64")
def test_a_lazy_contrast_weighs_as_much_more_in_every_kth_step(make_training, monkeypatch):
    plain, lazy = make_training(), make_training("contrast.every=3")
    encoder, calls = lazy.objective.spaces.clip, []
    encode = encoder.encode_image
    monkeypatch.setattr(encoder, "encode_image", lambda images: calls.append(1) or encode(images))
    batch, random = plain.batches.at(3), step_random(plain)
    for step, factor in ((3, 3), (4, 0), (5, 0), (6, 3)):
        calls.clear()
        for network, update in (("discriminator", discriminator_update), ("generator", generator_update)):
            ours = update(copy.deepcopy(lazy.state), batch, lazy.objective.at(step), random)
            theirs = update(copy.deepcopy(plain.state), batch, plain.objective, random)
            loss = f"loss/{network[0].upper()}"
            adversarial = theirs[f"{loss}_adversarial"]
            contrastive = theirs[loss] - adversarial
            assert contrastive > 0
            torch.testing.assert_close(ours[loss], adversarial + factor * contrastive)
        assert len(calls) == (1 if factor else 0)  # generated images, where the contrast is


VARIANTS = {
    "symmetric": [],
    "asymmetric": ["loss=asymmetric"],
    "selection and further targets": ["pairs=drop_false_negative", "contrast.negatives=20"],
    "pseudo-classes, mixed": ["pairs=weakly_supervised", "condition=mixed"],
    "badly fitting captions": ["pairs=drop_false_positive", "pairs.fraction=0.3"],
    "source": ["heterologous=source", "features=online"],
    "multi-scale, adaptive": ["model=msg", "augment=ada"],
}
LAFITE = ["model=lafite", "loss=lafite", *(f"model.{key}=16" for key in ("z_dim", "w_dim", "channel_max"))]
LAFITE += ["model.channel_base=64", "model.mapping_layers=2"]


def first_steps(training, batch, path_lengths=False):
    """The gradients and values of each kind of step, each from the initial state: Adam would amplify rounding.

    `path_lengths`: theirs too; micro-batches move their mean one after the other.
    """
    objective, random, found, values = training.objective, step_random(training), {}, {}
    batch = steps.online_features(batch, objective)
    for name, network, step in (
        ("D", "discriminator", lambda state: discriminator_update(state, batch, objective, random)),
        ("G", "generator", lambda state: generator_update(state, batch, objective, random)),
        ("R1", "discriminator", lambda state: steps.r1_step(state, batch, objective, random)),
        ("path length", "generator", lambda state: steps.path_length_step(state, batch, objective, random)),
    ):
        if name == "path length" and not path_lengths:
            continue
        state = copy.deepcopy(training.state)
        values |= {key: float(value) for key, value in step(state).items()}
        gradients = {key: parameter.grad for key, parameter in getattr(state, network).named_parameters()}
        found |= {f"{name} {key}": gradient for key, gradient in gradients.items() if gradient is not None}
        if name == "D":
            values["w_average"] = float(state.generator.mapping.w_average.norm())
    return found, values


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("variant", VARIANTS)
def test_gradient_caching_equals_the_large_batch(make_training, variant):
    whole = make_training(*VARIANTS[variant])
    parts = make_training(*VARIANTS[variant], "accumulate=4", "contrast.grad_cache=true")
    batch = whole.batches.at(2)
    expected, expected_values = first_steps(whole, batch)
    found, values = first_steps(parts, batch)
    assert values == pytest.approx(expected_values, rel=CLOSE)
    assert_close(found, expected)


@pytest.mark.usefixtures("float64")
def test_without_caching_each_part_contrasts_with_itself(make_training):
    """The step's gradient is the mean of the parts' own, each computed as a batch."""
    whole, alone = make_training("accumulate=4"), make_training()
    batch = whole.batches.at(2)
    found, values = first_steps(whole, batch)
    parts = [first_steps(alone, part) for part in batch.parts(4)]
    expected = {name: sum(gradients[name] for gradients, _ in parts) / 4 for name in found}
    assert_close(found, expected)
    for name in ("D/D/it", "G/CLIP/ii_het", "loss/G", "loss/D"):
        assert values[name] == pytest.approx(sum(part[name] for _, part in parts) / 4, rel=CLOSE)


@pytest.mark.usefixtures("float64")
def test_path_lengths_in_parts(make_training):
    """The first two of each block of four rows; the mean moves by a hundredth towards each part's."""
    training = make_training("accumulate=4")
    batch, state, objective, random = training.batches.at(2), training.state, training.objective, step_random(training)
    mean, penalties, halves = torch.zeros(()), [], random.halves()
    for number, part in enumerate(batch.parts(4)):
        half = part.halves(4)
        assert half.rows == range(4 * number, 4 * number + 4)
        assert torch.equal(half.condition, part.condition[[0, 1, 4, 5]])
        ws = steps._styles(state, half, objective, halves, "path length")
        images = state.generate(ws, half.condition, steps._noise(state, half, halves, "path length")).image
        lengths = path_lengths(images, ws, halves.rows("path length direction", half.rows)).detach()
        mean = mean + 0.01 * (lengths.mean() - mean)
        penalties.append(float(path_length_penalty(lengths, mean)))
    values = steps.path_length_step(state, batch, objective, random)
    assert float(values["loss/path_length"]) == pytest.approx(sum(penalties) / 4, rel=CLOSE)
    assert float(state.path_length_mean) == pytest.approx(float(mean), rel=CLOSE)


PROCESSES = (
    "symmetric",
    "selection and further targets",
    "multi-scale, adaptive",
    "LAFITE's networks",
)  # variants that are tried with two
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
            if (variant, name) == ("LAFITE's networks", "cached"):
                continue  # its D adds up over a micro-batch
            config = make_config(*overrides, *(VARIANTS | {"LAFITE's networks": LAFITE})[variant], *more)
            training = with_noise(Training(config, results, prepare_in_float64(config), CPU, None))
            found = first_steps(training, training.batches.at(2), path_lengths=name == "plain")
            torch.save(found, results / f"{variant} {name} {rank}.pt")


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_two_processes_equal_one(make_training, cache_dir, tmp_path):
    """Two gloo ranks, each with half of the batch, whole or in micro-batches."""
    expected = {}
    for variant, name in itertools.product(PROCESSES, ("plain", "cached")):
        if (variant, name) == ("LAFITE's networks", "cached"):
            continue
        training = make_training(*(VARIANTS | {"LAFITE's networks": LAFITE})[variant])
        expected[variant, name] = first_steps(training, training.batches.at(2), path_lengths=name == "plain")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    overrides = tiny(cache_dir, "mlflow.tracking_uri=null")
    torch.multiprocessing.spawn(one_of_two_processes, (address, overrides, tmp_path), nprocs=2)
    for (variant, name), (gradients, values) in expected.items():
        for rank in range(2):
            ours, our_values = torch.load(tmp_path / f"{variant} {name} {rank}.pt")
            assert our_values == pytest.approx(values, rel=CLOSE)
            assert_close(ours, gradients)


@pytest.mark.usefixtures("float64")
def test_lazy_regularisers_correct_adam_and_keep_their_weight(make_training):
    training = make_training()
    model, state, batch = training.config.model, training.state, training.batches.at(0)
    for optimizer, lr, interval in (
        (state.generator_optimizer, model.g_lr, model.pl_interval),
        (state.discriminator_optimizer, model.d_lr, model.r1_interval),
    ):
        [group] = optimizer.param_groups
        ratio = interval / (interval + 1)
        assert group["lr"] == pytest.approx(lr * ratio)
        assert group["betas"] == pytest.approx((0.0, 0.99**ratio))
    images = batch.images.detach().requires_grad_()
    penalty = r1_penalty(state.discriminator(Scales(images), batch.condition).logits, [images])
    parameters = [parameter for parameter in state.discriminator.parameters()]
    expected = torch.autograd.grad(penalty * model.r1_gamma / 2 * 16, parameters, allow_unused=True)
    steps.r1_step(state, batch, training.objective, step_random(training))
    for parameter, gradient in zip(parameters, expected, strict=True):
        if gradient is not None:
            torch.testing.assert_close(parameter.grad, gradient)
