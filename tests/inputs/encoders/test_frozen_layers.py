"""The layers that a projected discriminator reads: of the guiding CLIP at its real size, of networks of timm."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from clipgan.base.errors import UserError
from clipgan.config import ClipConfig, DiscriminatorConfig
from clipgan.encoder_cost import random_clip
from clipgan.inputs.encoders.frozen_layers import FrozenLayers
from clipgan.inputs.encoders.timm_network import load_timm_network
from tests.numeric import rounding

pytestmark = pytest.mark.numeric

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
VIT, CNN = "vit_tiny_patch16_224", "resnet18"


def assert_same_maps(ours, theirs):
    for found, expected in zip(ours, theirs, strict=True):
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=0, atol=rounding(2000) * float(expected.abs().max()))


def with_hooks(modules, run):
    """What the modules return while `run` runs the whole network."""
    found = []
    handles = [
        module.register_forward_hook(lambda _module, _inputs, output: found.append(output)) for module in modules
    ]
    with torch.no_grad():
        run()
    for handle in handles:
        handle.remove()
    return found


def as_maps(tokens):
    """Tokens after the class token, row by row: [N, 1 + H^2, I] -> [N, I, H, H]."""
    edge = int((tokens.shape[1] - 1) ** 0.5)
    return tokens[:, 1:].transpose(1, 2).unflatten(2, (edge, edge))


def configured(network=VIT, **settings):
    return DiscriminatorConfig("projected", network=network, width=8, **settings)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Files of random weights, as they are published: with the classifier."""
    folder = tmp_path_factory.mktemp("timm")
    for name in (VIT, CNN):
        torch.manual_seed(0)
        save_file(timm.create_model(name).state_dict(), folder / f"{name}.safetensors")
    return lambda name: str(folder / f"{name}.safetensors")


@pytest.mark.slow
def test_a_vision_transformer_of_clip_gives_its_blocks():
    """ViT-B/32 at 224 pixels; the default is four blocks, evenly spread, as in StyleGAN-T."""
    torch.manual_seed(0)
    clip = random_clip(ClipConfig(name="ViT-B32", model="ViT-B-32-quickgelu", pretrained="openai"), "float32")
    layers = FrozenLayers(clip, "ViT-B32", None)
    assert (layers.layers, layers.channels) == ([2, 5, 8, 11], [768] * 4)
    blocks = [clip.tower.transformer.resblocks[number] for number in layers.layers]
    assert_same_maps(layers(IMAGES), map(as_maps, with_hooks(blocks, lambda: clip.encode_image(IMAGES))))
    images = IMAGES.clone().requires_grad_()
    sum(each.square().mean() for each in layers(images)).backward()
    assert images.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in clip.parameters())
    clip.start_steps("mixed")
    for near, exact in zip(layers(IMAGES), with_hooks(blocks, lambda: clip.encode_image(IMAGES)), strict=True):
        assert near.dtype == torch.float32
        assert exact.dtype == torch.bfloat16  # as the encoder computes in the steps


@pytest.mark.parametrize("name", [VIT, CNN])
def test_networks_of_timm_from_a_file_equal_timm(weights, name):
    """With the size, mean and deviation that their weights were trained with."""
    layers = FrozenLayers(load_timm_network(configured(name, checkpoint=weights(name))), name, [1, 3])
    torch.manual_seed(0)
    model = timm.create_model(name).eval()
    settings = timm.get_pretrained_cfg(name)
    mean, std = (torch.tensor(each)[:, None, None] for each in (settings.mean, settings.std))
    pixels = torch.nn.functional.interpolate(IMAGES, size=224, mode=settings.interpolation, antialias=True)
    pixels = (pixels / 2 + 0.5 - mean) / std
    modules = [model.blocks[1], model.blocks[3]] if name == VIT else [model.layer1, model.layer3]
    found = with_hooks(modules, lambda: model(pixels))
    assert_same_maps(layers(IMAGES), map(as_maps, found) if name == VIT else found)
    assert not layers.encoder.train().training
    assert not any(parameter.requires_grad for parameter in layers.parameters())


@pytest.mark.exact
def test_a_layer_that_is_not_there_is_refused_with_the_list(weights):
    network = load_timm_network(configured(CNN, checkpoint=weights(CNN)))
    listed = r"0 \(64 x 112 x 112\), 1 \(64 x 56 x 56\), 2 \(128 x 28 x 28\), 3 \(256 x 14 x 14\), 4 \(512 x 7 x 7\)$"
    with pytest.raises(
        UserError, match=rf"discriminator\.layers=\[1, 9\] is not allowed: resnet18 has the layers {listed}"
    ):
        FrozenLayers(network, CNN, [1, 9])
    assert FrozenLayers(network, CNN, None).layers == [0, 1, 2, 4]
    assert FrozenLayers(network, CNN, [1]).key != FrozenLayers(network, CNN, [2]).key


@pytest.mark.exact
@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("resnet8", r"discriminator\.network=resnet8 is not a model of timm; close names: resnet.*18"),
        ("vit_small_patch16_224.dinno", r"dinno is not among timm's tags of vit_small_patch16_224: .*dino"),
        (
            "resnet18.a1_in1k",
            r"its weights are not cached here and https://.*HF_HUB_OFFLINE.*discriminator\.checkpoint",
        ),
        ("test_vit4", r"discriminator\.network=test_vit4 has no weights in timm"),
    ],
)
def test_a_network_that_cannot_be_had_is_one_message(network, message, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=message) as caught:
        load_timm_network(configured(network))
    assert "\n" not in str(caught.value)


@pytest.mark.exact
def test_weights_of_another_network_are_refused(weights):
    with pytest.raises(UserError, match=r"discriminator\.checkpoint=.* does not fit resnet18: .* is missing"):
        load_timm_network(configured(CNN, checkpoint=weights(VIT)))
