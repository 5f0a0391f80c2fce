"""A converted pickle makes the images of the networks in it, and judges as they do."""

import pytest
import torch
import torch.nn.functional as F

from clipgan.config.command_line import compose_config
from clipgan.engine.checkpoint_file import load_checkpoint
from clipgan.import_lafite.__main__ import import_lafite
from clipgan.models.networks.scales import Scales
from clipgan.tasks.gan.state import new_state
from tests.import_lafite.conftest import C, public_networks
from tests.import_lafite.pickles import dump
from tests.numeric import in_float32, rounding

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")
ROUNDED = {"rtol": rounding(100), "atol": rounding(100)}  # by the conversion, which scales weights in float32


def converted(pickle, out, *overrides):
    """The state that a training with the printed settings would load."""
    settings = import_lafite(pickle, out, overrides or ["clip=tiny"])
    config = compose_config(settings)
    state = new_state(config, load_checkpoint(out, CPU)["state"]["discriminator"]["semantic.weight"].shape[0], CPU)
    state.load_state_dict(load_checkpoint(out, CPU)["state"])
    state.generator.eval()
    return state, config


def inputs(count, z_dim=20, width=C):
    return torch.randn(count, z_dim), F.normalize(torch.randn(count, width), dim=1)


@pytest.fixture
def state(public, tmp_path, float64):
    return converted(public[1], tmp_path / "lafite.pt")[0]


@pytest.fixture
def theirs(public, float64):
    return doubled(public[0])


def doubled(networks):
    return {name: networks[name].double() for name in ("G", "G_ema", "D")}  # in place: pickles alone copy them


@pytest.mark.parametrize(("ours", "name"), [("generator", "G"), ("generator_ema", "G_ema")])
@pytest.mark.parametrize("psi", [1.0, 0.7])
@torch.no_grad()
def test_the_same_latents_and_texts_give_the_same_images(theirs, state, ours, name, psi):
    z, text = inputs(3)
    expected = theirs[name](z, text, [None] * 5, psi)
    generator = getattr(state, ours)
    assert expected.std() > 0.1
    torch.testing.assert_close(generator(z, text, generator.stored_noise(), psi), expected, **ROUNDED)


@torch.no_grad()
def test_drawn_noise_enters_every_layer_as_there(theirs, state):
    z, text = inputs(2)
    noises = [torch.randn(2, 1, size, size) for size in (4, 8, 8, 16, 16)]
    assert [noise.shape for noise in state.generator_ema.draw_noise(2, torch.randn)] == [
        noise.shape for noise in noises
    ]
    expected = theirs["G_ema"](z, text, noises)
    torch.testing.assert_close(state.generator_ema(z, text, noises), expected, **ROUNDED)
    constant = theirs["G_ema"](z, text, [None] * 5)
    assert (constant - expected).abs().max() > 0.01


@torch.no_grad()
def test_the_discriminator_gives_the_same_logits_and_features(theirs, state):
    _, text = inputs(8)
    images = torch.randn(8, 3, 16, 16)
    groups = [0, 2, 4, 6, 1, 3, 5, 7]  # there a group takes every second image, here neighbours
    logits, feature = theirs["D"](images, text)
    judged = state.discriminator(Scales(images[groups]), text[groups])
    torch.testing.assert_close(judged.logits, logits[groups, 0], **ROUNDED)
    torch.testing.assert_close(judged.semantic, feature[groups], **ROUNDED)


@pytest.mark.parametrize(
    "options",
    [
        {"change": 256, "clamp": 0.7, "use_norm": True, "resolution": 8},  # as published below 512; clamps that bite
        {"change": 0, "clamp": None, "freeze": 4, "resolution": 32},
    ],
    ids=["joined styles, clamped, unit features", "scaled styles, no clamp, frozen layers"],
)
@pytest.mark.usefixtures("float64")
@torch.no_grad()
def test_other_settings_of_the_training_script(tmp_path, options):
    torch.manual_seed(5)
    with in_float32():
        networks = public_networks(**options)
        file = dump(networks, tmp_path / "a.pkl")
    networks, (state, _) = doubled(networks), converted(file, tmp_path / "out.pt")
    z, text = inputs(2)
    size = options["resolution"]
    expected = networks["G_ema"](z, text, [None] * 9)
    if options["clamp"]:
        assert networks["G_ema"].synthesis.b4.torgb(torch.ones(2, 12, 4, 4) * 9, z.new_zeros(2, 24), text).max() <= 0.7
    ours = state.generator_ema(z, text, state.generator_ema.stored_noise())
    torch.testing.assert_close(ours, expected, **ROUNDED)
    images = torch.randn(2, 3, size, size) * 3
    logits, feature = networks["D"](images, text)
    judged = state.discriminator(Scales(images), text)
    torch.testing.assert_close(judged.logits, logits[:, 0], **ROUNDED)
    torch.testing.assert_close(judged.semantic, feature, **ROUNDED)


@pytest.mark.exact
def test_the_default_is_the_published_clip_and_the_shipped_model(tmp_path):
    networks = public_networks(resolution=8, change=256, f_dim=512)
    _, config = converted(dump(networks, tmp_path / "a.pkl"), tmp_path / "out.pt", "clip=ViT-B32")
    assert (config.clip.name, config.resolution, config.model.name) == ("ViT-B32", 8, "lafite")
    assert (config.model.text_dim, config.model.z_dim, config.model.mapping_layers) == (512, 20, 3)
    assert config.model.lafite.joined_to == 256
    settings = import_lafite(tmp_path / "a.pkl", tmp_path / "again.pt", [])
    assert settings[-1] == "clip=ViT-B32"


@pytest.mark.endurance
@pytest.mark.usefixtures("float64")
@torch.no_grad()
def test_the_published_size(tmp_path):
    """256 x 256 with all the widths of the public models."""
    torch.manual_seed(9)
    widths = {"base": 32768, "maximum": 512, "z_dim": 512, "w_dim": 512, "num_layers": 8}
    with in_float32():
        networks = public_networks(resolution=256, change=256, f_dim=512, **widths)
        file = dump(networks, tmp_path / "a.pkl")
    networks, (state, config) = doubled(networks), converted(file, tmp_path / "out.pt", "clip=ViT-B32")
    assert config.model == compose_config(["model=lafite"]).model
    z, text = inputs(1, z_dim=512, width=512)
    for psi in (1.0, 0.7):
        expected = networks["G_ema"](z, text, [None] * 13, psi)
        ours = state.generator_ema(z, text, state.generator_ema.stored_noise(), psi)
        torch.testing.assert_close(ours, expected, **ROUNDED)
    images = torch.cat([ours, torch.randn(3, 3, 256, 256)])
    _, texts = inputs(4, width=512)
    logits, feature = networks["D"](images, texts)
    judged = state.discriminator(Scales(images), texts)
    torch.testing.assert_close(judged.logits, logits[:, 0], **ROUNDED)
    torch.testing.assert_close(judged.semantic, feature, **ROUNDED)
