"""The frozen CLIP: sources of weights, freezing, agreement with open_clip."""

import importlib.util
import warnings

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file

from clipgan.base.errors import UserError
from clipgan.config import ClipConfig, TinyClipTraining
from clipgan.inputs.encoders import clip as clip_module
from clipgan.inputs.encoders.clip import load_clip
from clipgan.inputs.encoders.tiny.tiny_clip import TINY_MODEL, build_clip, register_tiny_model
from clipgan.inputs.features.encoding import to_images
from tests.helpers import make_config
from tests.numeric import in_float64

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tiny_checkpoint(tmp_path_factory):
    """Random weights of the small architecture, and running statistics that are not those of a fresh network."""
    register_tiny_model()
    torch.manual_seed(0)
    model = build_clip(TINY_MODEL).train()
    for _ in range(3):
        model.encode_image(torch.randn(16, 3, 32, 32))
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    return path


def load_tiny(path, data, tmp_path):
    return load_clip(ClipConfig(checkpoint=str(path)), data, tmp_path, CPU)


@pytest.mark.exact
def test_frozen_whatever_train_says(tiny_checkpoint, shapes_data, tmp_path):
    frozen = load_tiny(tiny_checkpoint, shapes_data, tmp_path)
    parent = torch.nn.ModuleList([frozen])
    images = torch.rand(4, 3, 32, 32) * 2 - 1
    before = frozen.encode_image(images)
    parent.train()
    frozen.train(True)
    assert not any(module.training for module in frozen.modules())
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    torch.testing.assert_close(frozen.encode_image(images), before, rtol=0, atol=0)


def test_unit_length_and_independent_of_the_batch(tiny_checkpoint, shapes_data, tmp_path):
    frozen = load_tiny(tiny_checkpoint, shapes_data, tmp_path)
    images = torch.rand(5, 3, 64, 64) * 2 - 1
    image, text = frozen.encode_image(images), frozen.encode_text(["a red circle"] * 300 + ["a blue square"])
    assert frozen.dim == 128
    assert image.shape == (5, 128)
    assert text.shape == (301, 128)
    for embedding in (image, text):
        assert embedding.dtype == torch.float32
        torch.testing.assert_close(embedding.norm(dim=1), torch.ones(len(embedding)))
    assert not text.requires_grad
    with in_float64():
        images, frozen = images.double(), frozen.double()
        image, text = frozen.encode_image(images), frozen.encode_text(["a red circle"] * 300 + ["a blue square"])
        torch.testing.assert_close(frozen.encode_image(images[2:3]), image[2:3])
        torch.testing.assert_close(frozen.encode_text(["a blue square"])[0], text[300])
        torch.testing.assert_close(F.normalize(frozen.image_features_raw(images), dim=1), image)
        assert (frozen.image_features_raw(images).norm(dim=1) - 1).abs().min() > 1e-3


def test_gradient_reaches_the_image(tiny_checkpoint, shapes_data, tmp_path):
    frozen = load_tiny(tiny_checkpoint, shapes_data, tmp_path)
    images = (torch.rand(2, 3, 64, 64) * 2 - 1).requires_grad_()
    target = frozen.encode_text(["a red circle", "a blue square"])
    (frozen.encode_image(images) * target).sum().backward()
    assert images.grad is not None
    assert torch.isfinite(images.grad).all()
    assert (images.grad.flatten(1).abs().sum(1) > 0).all()
    assert all(parameter.grad is None for parameter in frozen.parameters())


@pytest.mark.exact
def test_the_key_follows_the_weights(tiny_checkpoint, shapes_data, tmp_path):
    frozen = load_tiny(tiny_checkpoint, shapes_data, tmp_path)
    assert frozen.key == load_tiny(tiny_checkpoint, shapes_data, tmp_path).key
    state = load_file(tiny_checkpoint)
    state["visual.conv1.weight"][0, 0, 0, 0] += 1e-3
    save_file(state, tmp_path / "other.safetensors")
    assert load_tiny(tmp_path / "other.safetensors", shapes_data, tmp_path).key != frozen.key


@pytest.mark.usefixtures("float64")
def test_agrees_with_open_clip(tiny_checkpoint, shapes_data, tmp_path):
    """open_clip's own factory, loader, transform and tokenizer on the same file give the same embeddings."""
    frozen = load_tiny(tiny_checkpoint, shapes_data, tmp_path).double()
    model = open_clip.create_model(TINY_MODEL, pretrained=str(tiny_checkpoint)).double().eval()
    texts = ["a small red circle on a white background", "a large blue star, gray background"]
    images = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        image = model.encode_image((images - 0.5) / 0.5, normalize=True)
        text = model.encode_text(open_clip.get_tokenizer(TINY_MODEL)(texts), normalize=True)
    torch.testing.assert_close(frozen.encode_image(images * 2 - 1), image)
    torch.testing.assert_close(frozen.encode_text(texts), text)


@pytest.mark.exact
def test_missing_checkpoint(shapes_data, tmp_path):
    with pytest.raises(UserError, match=r"clip\.checkpoint=/no/such\.pt does not exist; give a file with the weights"):
        load_clip(ClipConfig(checkpoint="/no/such.pt"), shapes_data, tmp_path, CPU)


@pytest.mark.exact
def test_a_checkpoint_of_another_architecture(tiny_checkpoint, shapes_data, tmp_path):
    config = ClipConfig(model="RN50-quickgelu", checkpoint=str(tiny_checkpoint))
    with pytest.raises(UserError) as caught:
        load_clip(config, shapes_data, tmp_path, CPU)
    message = str(caught.value)
    assert message.startswith(f"clip.checkpoint={tiny_checkpoint} does not fit RN50-quickgelu: ")
    assert "positional_embedding is [24, 128], RN50-quickgelu has [77, 512]" in message


@pytest.mark.exact
def test_unknown_model_and_tag(shapes_data, tmp_path):
    with pytest.raises(UserError, match=r"clip\.model=ViT-B32 is not a model of open_clip; close names: .*ViT-B-32"):
        load_clip(ClipConfig(model="ViT-B32", pretrained="openai"), shapes_data, tmp_path, CPU)
    with pytest.raises(
        UserError, match=r"clip\.model=my-small is not .*; only open_clip's own architectures .* allowed$"
    ):
        load_clip(ClipConfig(model="my-small", checkpoint="small.pt"), shapes_data, tmp_path, CPU)
    with pytest.raises(UserError, match=r"clip\.pretrained=closedai is not among .*ViT-B-16-quickgelu: openai"):
        load_clip(ClipConfig(model="ViT-B-16-quickgelu", pretrained="closedai"), shapes_data, tmp_path, CPU)


@pytest.mark.exact
def test_the_wrong_activation_is_refused(shapes_data, tmp_path):
    with pytest.raises(UserError, match=r"trained with QuickGELU.*use clip\.model=ViT-B-32-quickgelu"):
        load_clip(ClipConfig(model="ViT-B-32", pretrained="openai"), shapes_data, tmp_path, CPU)


@pytest.mark.exact
def test_only_the_small_model_is_trained(shapes_data, tmp_path):
    config = ClipConfig(model="ViT-B-32-quickgelu", train=TinyClipTraining())
    with pytest.raises(UserError, match=r"clip\.train belongs to clipgan-tiny"):
        load_clip(config, shapes_data, tmp_path, CPU)


@pytest.mark.exact
@pytest.mark.parametrize(
    ("model", "repository", "original"),
    [
        ("ViT-B-32-quickgelu", "timm/vit_base_patch32_clip_224.openai", "ViT-B-32.pt"),
        ("ViT-B-16-quickgelu", "timm/vit_base_patch16_clip_224.openai", "ViT-B-16.pt"),
        ("ViT-L-14-336-quickgelu", "timm/vit_large_patch14_clip_336.openai", "ViT-L-14-336px.pt"),
    ],
)
def test_without_a_hub_the_message_says_which_file(model, repository, original, shapes_data, tmp_path, monkeypatch):
    monkeypatch.setattr(clip_module.huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(clip_module.huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(clip_module, "unreachable", lambda url: "Name or service not known")
    monkeypatch.setattr(clip_module, "download_pretrained", lambda *_: pytest.fail("tried to download"))
    with pytest.raises(UserError) as caught:
        load_clip(ClipConfig(model=model, pretrained="openai"), shapes_data, tmp_path, CPU)
    message = str(caught.value)
    assert "Name or service not known" in message
    assert f"open_clip_model.safetensors of {repository} on the Hugging Face hub" in message
    assert f"or the original {original}" in message
    assert message.endswith("clip.checkpoint=FILE")


@pytest.mark.exact
def test_an_offline_hub_is_not_asked(shapes_data, tmp_path, monkeypatch):
    monkeypatch.setattr(clip_module.huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(clip_module.huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(clip_module, "unreachable", lambda url: pytest.fail("asked the hub"))
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        load_clip(ClipConfig(model="ViT-B-32-quickgelu", pretrained="openai"), shapes_data, tmp_path, CPU)


@pytest.mark.exact
def test_preprocessing_is_that_of_the_weights():
    openai = clip_module.choose_preprocess(ClipConfig(model="ViT-L-14-336-quickgelu", pretrained="openai"))
    assert openai.describe() == {
        "size": 336,
        "interpolation": "bicubic",
        "mean": [0.481455, 0.457828, 0.408211],
        "std": [0.268630, 0.261303, 0.275777],
    }


@pytest.mark.exact
def test_a_file_without_a_tag_is_prepared_as_all_tags_of_its_model_say():
    siglip = clip_module.choose_preprocess(ClipConfig(model="ViT-B-16-SigLIP", checkpoint="x"))
    assert siglip.describe()["mean"] == [0.5, 0.5, 0.5]
    with pytest.raises(
        UserError, match=r"does not say how to preprocess images for ViT-L-14, .* give clip\.pretrained as well"
    ):
        clip_module.choose_preprocess(ClipConfig(model="ViT-L-14", checkpoint="x"))
    laion = ClipConfig(model="ViT-L-14", checkpoint="x", pretrained="laion2b_s32b_b82k")
    assert clip_module.choose_preprocess(laion).describe()["mean"] == [0.5, 0.5, 0.5]


@pytest.mark.exact
def test_siglip_is_refused_without_its_tokenizer(shapes_data, tmp_path):
    if importlib.util.find_spec("transformers") is not None:
        pytest.skip("transformers is here")
    with pytest.raises(
        UserError, match=r"ViT-B-16-SigLIP reads texts with the tokenizer timm/ViT-B-16-SigLIP .*transfo"
    ):
        load_clip(ClipConfig(model="ViT-B-16-SigLIP", pretrained="webli"), shapes_data, tmp_path, CPU)


@pytest.mark.exact
def test_a_model_that_also_writes_is_refused(shapes_data, tmp_path):
    with pytest.raises(UserError, match=r"clip\.model=coca_ViT-B-32 also writes captions"):
        load_clip(ClipConfig(model="coca_ViT-B-32", pretrained="laion2b_s13b_b90k"), shapes_data, tmp_path, CPU)


@pytest.mark.exact
def test_an_archive_of_openai_wants_its_activation(shapes_data, tmp_path):
    path = tmp_path / "ViT-B-32.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 3), torch.zeros(1, 2)), path)
    with pytest.raises(UserError, match=r"is OpenAI's archive, trained with QuickGELU.*clip\.model=ViT-B-32-quickgelu"):
        load_clip(ClipConfig(model="ViT-B-32", checkpoint=str(path)), shapes_data, tmp_path, CPU)


def test_bfloat16_is_near_and_has_its_own_key(tiny_checkpoint, shapes_data, tmp_path):
    config = ClipConfig(checkpoint=str(tiny_checkpoint), precision="bfloat16")
    rough, exact = load_clip(config, shapes_data, tmp_path, CPU), load_tiny(tiny_checkpoint, shapes_data, tmp_path)
    assert rough.key != exact.key
    images = torch.rand(4, 3, 32, 32) * 2 - 1
    for encoder in (rough, exact):
        assert encoder.encode_image(images).dtype == encoder.encode_text(["a"]).dtype == torch.float32
    assert (rough.encode_image(images) != exact.encode_image(images)).any()
    assert ((rough.encode_image(images) * exact.encode_image(images)).sum(1) > 0.999).all()
    assert ((rough.encode_text(["a red circle"]) * exact.encode_text(["a red circle"])).sum(1) > 0.999).all()
    images.requires_grad_()
    gradients = [
        torch.autograd.grad(each.encode_image(images)[:, 0].sum(), images)[0].flatten(1) for each in (rough, exact)
    ]
    assert (F.cosine_similarity(*gradients) > 0.9).all()


def test_mixed_precision_is_float32_until_the_steps_start(tiny_checkpoint, shapes_data, tmp_path):
    config = ClipConfig(checkpoint=str(tiny_checkpoint), precision="mixed")
    mixed, exact = load_clip(config, shapes_data, tmp_path, CPU), load_tiny(tiny_checkpoint, shapes_data, tmp_path)
    images, texts = torch.rand(4, 3, 32, 32) * 2 - 1, ["a red circle"]
    assert mixed.key == exact.key
    assert torch.equal(mixed.encode_image(images), exact.encode_image(images))
    before = exact.encode_image(images), exact.encode_text(texts)
    mixed.start_steps("mixed")
    exact.start_steps("float32")
    assert torch.equal(exact.encode_image(images), before[0])
    for encoder in (mixed, exact):
        assert torch.equal(encoder.encode_text(texts), before[1])
    moved = 1 - (mixed.encode_image(images) * before[0]).sum(1)
    assert ((moved > 0) & (moved < 1e-3)).all()


def test_the_text_tower_can_be_on_another_device(tiny_checkpoint, shapes_data, tmp_path):
    frozen, images = load_tiny(tiny_checkpoint, shapes_data, tmp_path), torch.rand(2, 3, 32, 32) * 2 - 1
    before = frozen.encode_image(images)
    frozen.move_text_tower(torch.device("meta"))
    for name, weights in (*frozen.backbone.named_parameters(), *frozen.backbone.named_buffers()):
        assert weights.device.type == ("cpu" if name.startswith("visual.") else "meta"), name
    assert torch.equal(frozen.encode_image(images), before)


@pytest.mark.parametrize(
    ("option", "dim", "size", "suffix"),
    [
        pytest.param("ViT-B32", 512, 224, "pt", marks=pytest.mark.slow),
        pytest.param("ViT-B16", 512, 224, "pt", marks=pytest.mark.endurance),
        pytest.param("ViT-L14@336", 768, 336, "pt", marks=pytest.mark.endurance),
        pytest.param("open_clip clip.name=ViT-B-32 clip.pretrained=laion2b_s34b_b79k", 512, 224, "safetensors",
                     marks=pytest.mark.endurance),
    ],
)  # fmt: skip
def test_a_real_architecture_from_a_file_equals_open_clip(option, dim, size, suffix, shapes_data, tmp_path):
    """Random weights of the full size, in half precision as OpenAI's files are, against open_clip's own pipeline."""
    path = tmp_path / f"weights.{suffix}"
    config = make_config(*f"clip={option}".split(), f"clip.checkpoint={path}").clip
    torch.manual_seed(0)
    model = open_clip.create_model(config.model, pretrained_text=False).eval()
    halves = {key: value.half().contiguous() for key, value in model.state_dict().items()}
    (torch.save if suffix == "pt" else save_file)(halves, path)
    model, _, transform = open_clip.create_model_and_transforms(config.model, pretrained=str(path))
    model.eval()
    frozen = load_clip(config, shapes_data, tmp_path, CPU)
    assert frozen.dim == dim
    pixels = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    texts = ["a diagram", "a photo of a cat left of a dog"]
    with torch.no_grad():
        image = model.encode_image(torch.stack([transform(Image.fromarray(each)) for each in pixels]), normalize=True)
        text = model.encode_text(open_clip.get_tokenizer(config.model)(texts), normalize=True)
        images = to_images(pixels.transpose(0, 3, 1, 2), CPU)
        torch.testing.assert_close(frozen.encode_image(images), image, rtol=0, atol=1e-4)
    torch.testing.assert_close(frozen.encode_text(texts), text, rtol=0, atol=1e-4)
    small = (torch.rand(1, 3, 64, 64) * 2 - 1).requires_grad_()
    (frozen.encode_image(small) * text[:1]).sum().backward()
    assert small.grad is not None
    assert torch.isfinite(small.grad).all()
    assert small.grad.abs().sum() > 0
