"""The lean QuickGELU against open_clip's own."""

import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU

from clipgan.inputs.encoders.activation import LeanQuickGELU, with_lean_activations

pytestmark = pytest.mark.numeric


def test_values_and_gradients_are_those_of_open_clip():
    x = torch.linspace(-9, 9, 999, dtype=torch.float64, requires_grad=True)
    weights = torch.linspace(1, 2, 999, dtype=torch.float64)
    results = []
    for activation in (LeanQuickGELU(), QuickGELU()):
        y = activation(x)
        [gradient] = torch.autograd.grad((weights * y).sum(), x)
        results.append((y.detach(), gradient))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_its_input_stays_as_it_was(dtype):
    x = torch.linspace(-3, 3, 7, dtype=dtype)
    before = x.clone()
    assert LeanQuickGELU()(x).dtype == dtype
    torch.testing.assert_close(x, before, rtol=0, atol=0)


@pytest.mark.usefixtures("float64")
def test_all_of_a_model_are_replaced_and_its_state_is_the_same():
    config = {"width": 64, "layers": 2, "head_width": 32, "patch_size": 16, "image_size": 32}
    text = {"width": 64, "layers": 2, "heads": 2, "context_length": 8, "vocab_size": 99}
    model = open_clip.CLIP(32, config, text, quick_gelu=True).eval()
    images, texts, names = torch.rand(2, 3, 32, 32), torch.randint(1, 99, (2, 8)), list(model.state_dict())
    with torch.no_grad():
        before = model.encode_image(images), model.encode_text(texts)
        with_lean_activations(model)
        after = model.encode_image(images), model.encode_text(texts)
    kinds = [type(module) for module in model.modules()]
    assert (kinds.count(LeanQuickGELU), kinds.count(QuickGELU)) == (4, 0)
    assert list(model.state_dict()) == names
    torch.testing.assert_close(after, before)
