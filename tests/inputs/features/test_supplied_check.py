"""Features that came with a data set: used where the backbone would give the same, else computed anew or refused."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clipgan.base.errors import UserError
from clipgan.config import ClipConfig, DataConfig
from clipgan.inputs.data.loading import load_data
from clipgan.inputs.encoders.clip import load_clip
from clipgan.inputs.encoders.tiny.tiny_clip import TINY_MODEL, build_clip, register_tiny_model
from clipgan.inputs.features.encoding import to_images
from clipgan.inputs.features.feature_cache import load_features
from clipgan.tasks.gan.preparation import prepare
from tests.helpers import make_config
from tests.inputs.data import samples
from tests.tiny import tiny

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")
COUNT = 12


def frozen_clip(tmp_path, seed):
    register_tiny_model()
    torch.manual_seed(seed)
    model = build_clip(TINY_MODEL).train()
    for _ in range(3):
        model.encode_image(torch.randn(16, 3, 32, 32))
    path = tmp_path / f"clip{seed}.safetensors"
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    return load_clip(ClipConfig(checkpoint=str(path)), None, tmp_path, CPU)


@pytest.fixture
def clip(tmp_path):
    return frozen_clip(tmp_path, 0)


def of(clip, spoilt_text=False):
    """Image k's features as LAFITE stores them: not normalised, and a little off, from a random crop."""

    def features(k):
        random = np.random.default_rng(k)
        pixels = torch.tensor([10 * k, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 16, 16)
        with torch.no_grad():
            image = clip.encode_image(to_images(pixels.numpy(), CPU))[0].numpy()
        words = [f"number {k}, way {n}" for n in range(2)]
        text = clip.encode_text([word[::-1] for word in words] if spoilt_text else words).numpy()
        return 7 * (image + 0.1 / 11 * random.normal(size=image.shape)), list(3 * text)

    return features


def load(tmp_path, clip, **changes):
    path = samples.lafite_zip(tmp_path / "set.zip", count=COUNT, **changes)
    data = load_data(DataConfig(name="lafite_zip", path=str(path), heldout_fraction=0.25), 16, tmp_path / "cache")
    return data, load_features(data, clip, None, 1e-3, tmp_path / "cache", CPU)


def fresh(data, clip):
    """Both flips of the images, and the captions, encoded now."""
    images = to_images(data.train.images, CPU)
    with torch.no_grad():
        both = np.stack([clip.encode_image(batch).numpy() for batch in (images, images.flip(3))])
    return both, clip.encode_text([text for texts in data.train.captions for text in texts]).numpy()


def test_matching_features_are_used(tmp_path, clip, capsys):
    data, features = load(tmp_path, clip, features=of(clip))
    np.testing.assert_allclose(features.train.clip_image[0], data.train.stored.image, atol=1e-3)
    np.testing.assert_allclose(features.train.clip_text, data.train.stored.text, atol=1e-3)
    both, _ = fresh(data, clip)
    assert np.abs(features.train.clip_image[0] - both[0]).max() > 2e-3  # those stored, which are a little off
    np.testing.assert_allclose(features.train.clip_image[1], both[1], atol=2e-3)
    out = capsys.readouterr().out
    assert "stored CLIP features of the train split: image: mean cosine 0.99" in out
    assert out.count("used") == 4


@pytest.mark.parametrize("width", [128, 64])
def test_features_of_another_clip_are_computed_anew(tmp_path, clip, width, capsys):
    data, features = load(tmp_path, clip, width=width, words=True)  # random numbers
    both, text = fresh(data, clip)
    np.testing.assert_allclose(features.train.clip_image, both, atol=1e-3)
    np.testing.assert_allclose(features.train.clip_text, text, atol=1e-3)
    out = capsys.readouterr().out
    assert out.count("computed anew") == 4
    assert ("64 numbers wide, and this CLIP's have 128" in out) == (width == 64)


def test_images_and_captions_are_judged_apart_where_there_are_words(tmp_path, clip):
    data, features = load(tmp_path, clip, features=of(clip, spoilt_text=True), words=True)
    np.testing.assert_allclose(features.train.clip_image[0], data.train.stored.image, atol=1e-3)
    np.testing.assert_allclose(features.train.clip_text, fresh(data, clip)[1], atol=1e-3)


@pytest.mark.exact
def test_without_words_another_clip_is_refused(tmp_path, clip):
    with pytest.raises(
        UserError, match=r"captions of the train split .* this CLIP did not make them \(image: mean cos"
    ):
        load(tmp_path, clip, features=of(frozen_clip(tmp_path, 1)))


@pytest.mark.exact
@pytest.mark.parametrize(
    ("image", "text", "words"),
    [
        (
            True,
            np.ones(64),
            r"this CLIP did not make them \(image: mean .*, text: 64 numbers wide, and this CLIP's have",
        ),
        (
            False,
            np.ones(128),
            r"not complete \(image: clip_img_features has a row of length 0 .*: complete them, or put",
        ),
        (False, np.ones(64), r"this CLIP did not make them \(image: clip_img_features has a row"),
    ],
)
def test_without_words_features_that_cannot_be_told_are_refused(tmp_path, clip, image, text, words):
    def features(k):
        return of(clip)(k)[0] * (image or k > 0), [text] * 2

    with pytest.raises(UserError, match=rf"captions of the train split .*{words}"):
        load(tmp_path, clip, features=features)


@pytest.mark.exact
def test_no_small_clip_trains_without_words(tmp_path, cache_dir):
    path = samples.lafite_zip(tmp_path / "set.zip", count=48)
    config = make_config(*(item for item in tiny(cache_dir) if "data.n_" not in item),
                         "data=lafite_zip", f"data.path={path}")  # fmt: skip
    with pytest.raises(UserError, match="clip=tiny cannot be trained: data=lafite_zip has no words to train"):
        prepare(config, CPU)
