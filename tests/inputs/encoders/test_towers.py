"""How the frozen image towers compute: fused attention, no weight gradients, activations kept or computed again."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from clipgan.base.errors import UserError
from clipgan.config import ClipConfig
from clipgan.encoder_cost import random_clip
from tests.numeric import rounding

pytestmark = pytest.mark.numeric

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def vit(precision="float32", **settings):
    torch.manual_seed(0)
    config = ClipConfig(name="ViT-B32", model="ViT-B-32-quickgelu", pretrained="openai", **settings)
    return random_clip(config, precision)


class Names(TorchDispatchMode):
    """The operators that run."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.add(str(func))
        return func(*args, **(kwargs or {}))


def gradient(clip, saved):
    """Of one feature with respect to the images; `saved` gets the bytes of what the forward pass keeps."""
    images = IMAGES.clone().requires_grad_()

    def keep(tensor):
        saved.append(tensor.numel() * tensor.element_size() if not isinstance(tensor, torch.nn.Parameter) else 0)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        features = clip.encode_image(images)
    return torch.autograd.grad(features[:, 0].sum(), images)[0]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=pytest.mark.endurance)])
def test_attention_is_fused_and_weights_get_no_gradient(precision):
    clip = vit(precision)
    with Names() as names:
        clip.encode_image(IMAGES.clone().requires_grad_())[:, 0].sum().backward()
    assert any("scaled_dot_product" in name for name in names.seen)
    assert all(parameter.grad is None for parameter in clip.parameters())


@pytest.mark.exact
@pytest.mark.slow
def test_computing_activations_again_gives_the_same_gradient_for_less_memory():
    kept, again = [], []
    expected = gradient(vit(), kept)
    found = gradient(vit(grad_checkpointing=True), again)
    torch.testing.assert_close(found, expected, rtol=0, atol=rounding(1000) * float(expected.abs().max()))
    assert sum(again) < 0.2 * sum(kept)


def test_a_resnet_tower_has_no_such_thing():
    config = ClipConfig(name="RN50", model="RN50-quickgelu", pretrained="openai", grad_checkpointing=True)
    with pytest.raises(UserError, match=r"clip\.grad_checkpointing=true is not allowed for RN50-quickgelu"):
        random_clip(config, "float32")
