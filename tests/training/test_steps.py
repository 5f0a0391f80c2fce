"""The steps: what each updates, and the moving average against its closed form."""

import copy

import pytest
import torch

from clipgan.config import ModelConfig
from clipgan.networks.generator import Generator
from clipgan.prepare import prepare
from clipgan.randomness import stream, stream_seed
from clipgan.training import steps
from clipgan.training.ema import ema_decay, update_ema
from clipgan.training.loop import Training
from clipgan.training.steps import condition_on, discriminator_step, generator_step
from tests.helpers import make_config
from tests.losses.test_contrastive import reference
from tests.tiny import tiny

MODEL = ModelConfig(z_dim=4, w_dim=4, text_dim=4, mapping_layers=1, channel_base=32, channel_max=4)


def test_text_noise_has_the_given_length_before_normalisation():
    text = torch.nn.functional.normalize(torch.randn(1000, 16), dim=1)
    noisy = condition_on(text, 0.1, stream(0, "test"))
    torch.testing.assert_close(noisy.norm(dim=1), torch.ones(1000))
    # |u + 0.1 n| = 1 has the angle arcsin(0.1) at most, and about that where n is orthogonal to u
    angles = (noisy * text).sum(1).clamp(-1, 1).acos()
    assert float(angles.max()) <= 0.1002
    assert float(angles.mean()) == pytest.approx(0.0965, abs=0.002)
    assert condition_on(text, 0.0, stream(0, "test")) is text


def test_ema_decay_is_a_half_life():
    model = ModelConfig(ema_kimg=1, ema_rampup=0)
    assert ema_decay(model, images=10**6, batch=10) ** 100 == pytest.approx(0.5)
    ramped = ModelConfig(ema_kimg=1, ema_rampup=0.05)
    assert ema_decay(ramped, images=2000, batch=10) ** 10 == pytest.approx(0.5)  # half-life 0.05 * 2000 images


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


@pytest.mark.parametrize("features", ["preprocessed", "online"])
@pytest.mark.parametrize("loss", ["symmetric", "asymmetric", "lafite"])
def test_every_term_of_a_step_contrasts_what_the_notation_says(cache_dir, tmp_path, loss, features):
    """Runs the real steps on a real batch, and recomputes each value from embeddings, in loops and float64."""
    config = make_config(*tiny(cache_dir, f"loss={loss}", f"features={features}", "mlflow.tracking_uri=null"))
    prepared = prepare(config, torch.device("cpu"))
    training = Training(config, tmp_path, prepared, torch.device("cpu"), None)
    state, batch, temperature = training.state, training.batches.at(3), 0.5

    def unit(x):
        return torch.nn.functional.normalize(x, dim=1).detach().double().numpy()

    with torch.no_grad():  # the same draws as generator_step makes: noise on the text, z, mixing, layer noise
        random = stream(5, "test")
        condition = condition_on(batch.text, 0.1, random)
        z = torch.randn(32, config.model.z_dim, generator=random)
        generator = copy.deepcopy(state.generator)
        fake = generator.synthesise(generator.mix(z, config.model.style_mixing, random), condition, random)
        f_d = {name: state.discriminator(images, condition).semantic for name, images in
               (("fake", fake), ("real", batch.images))}  # fmt: skip
        u, v = batch.text, prepared.clip.encode_image(batch.images)
        anchors = {"G/D": f_d["fake"], "D/D": f_d["real"], "G/CLIP": prepared.clip.encode_image(fake)}
        targets = {"G/D/it": u, "G/CLIP/it": u, "D/D/it": u, "G/D/ii": f_d["real"], "G/CLIP/ii": v, "D/D/ii": v}
        if prepared.resnet is not None:
            anchors["G/ResNet"] = prepared.resnet.encode_image(fake)
            targets["G/ResNet/it"] = u @ prepared.features.text_to_resnet
            targets["G/ResNet/ii"] = prepared.resnet.encode_image(batch.images)
    values = generator_step(copy.deepcopy(state), batch, training.objective, stream(5, "test"))
    values |= {
        name: value
        for name, value in discriminator_step(state, batch, training.objective, stream(5, "test")).items()
        if name.startswith("D/")
    }
    names = [term.name for term in training.terms]
    assert set(names) == {name.removesuffix("_het") for name in values if name.count("/") == 2}
    for name in names:
        a, b = unit(anchors[name.rsplit("/", 1)[0]]), unit(targets[name])
        assert float(values[name]) == pytest.approx(reference(a, b, temperature), rel=1e-5), name
        assert float(values[name + "_het"]) == pytest.approx(reference(b, a, temperature), rel=1e-5), name


def test_lazy_regularisers_correct_adam_and_keep_their_weight(cache_dir, tmp_path, monkeypatch):
    config = make_config(*tiny(cache_dir, "mlflow.tracking_uri=null"))
    training = Training(config, tmp_path, prepare(config, torch.device("cpu")), torch.device("cpu"), None)
    model = config.model
    for optimizer, lr, interval in (
        (training.state.generator_optimizer, model.g_lr, model.pl_interval),
        (training.state.discriminator_optimizer, model.d_lr, model.r1_interval),
    ):
        [group] = optimizer.param_groups
        ratio = interval / (interval + 1)
        assert group["lr"] == pytest.approx(lr * ratio)
        assert group["betas"] == pytest.approx((0.0, 0.99**ratio))
    losses = []
    monkeypatch.setattr(steps, "_update", lambda optimizer, loss: losses.append(float(loss.detach())))
    batch, random = training.batches.at(0), stream(0, "test")
    r1 = float(steps.r1_step(training.state, batch, training.objective, random)["loss/r1"])
    path = float(steps.path_length_step(training.state, batch, training.objective, random)["loss/path_length"])
    assert losses == pytest.approx([r1 * model.r1_gamma / 2 * 16, path * model.pl_weight * 4])
