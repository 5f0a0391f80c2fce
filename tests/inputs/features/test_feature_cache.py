"""Cached features: equal to the encoder's own output, up to the rounding to half precision."""

import numpy as np
import pytest
import torch

from clipgan.inputs.data.packed_captions import caption_starts
from clipgan.inputs.features.encoding import to_images
from clipgan.inputs.features.feature_writer import ROW_ERROR
from clipgan.tasks.gan.preparation import prepare
from tests.helpers import make_config
from tests.numeric import rounding
from tests.tiny import tiny

pytestmark = pytest.mark.numeric


@pytest.fixture(scope="module")
def prepared(cache_dir):
    return prepare(make_config(*tiny(cache_dir, "data.x_flip=true")), torch.device("cpu"))


def assert_rounded(cached, expected):
    assert cached.dtype == np.float16
    assert isinstance(cached.base, np.memmap) or isinstance(cached, np.memmap)
    moved = np.linalg.norm(cached.astype(np.float32) - expected, axis=-1)
    assert moved.max() <= ROW_ERROR + rounding(200)  # the batch of the encoder differs


def test_features_are_the_encoders_output_for_both_flips(prepared):
    images = to_images(prepared.data.train.images[:5], torch.device("cpu"))
    for encoder, cached in (
        (prepared.clip, prepared.features.train.clip_image),
        (prepared.resnet, prepared.features.train.resnet_image),
    ):
        assert cached.shape == (2, 96, encoder.dim)
        for flip, batch in enumerate((images, images.flip(3))):
            with torch.no_grad():
                expected = encoder.encode_image(batch).numpy()
            assert_rounded(cached[flip, :5], expected)


def test_text_features_are_those_of_the_captions(prepared):
    features, captions = prepared.features.heldout, prepared.data.heldout.captions
    for image in (0, 7):
        start, end = features.caption_start[image : image + 2]
        assert end - start == len(captions[image])
        expected = prepared.clip.encode_text(captions[image]).numpy()
        assert_rounded(features.clip_text[start:end], expected)


@pytest.mark.exact
def test_a_second_preparation_reads_the_cache(prepared, cache_dir, monkeypatch):
    def refuse(*_):
        raise AssertionError("an encoder ran")

    monkeypatch.setattr("clipgan.inputs.encoders.clip.FrozenClip.encode_image", refuse)
    monkeypatch.setattr("clipgan.inputs.encoders.clip.FrozenClip.encode_text", refuse)
    again = prepare(make_config(*tiny(cache_dir, "data.x_flip=true")), torch.device("cpu"))
    np.testing.assert_array_equal(again.features.train.clip_text, prepared.features.train.clip_text)
    torch.testing.assert_close(again.features.text_to_resnet, prepared.features.text_to_resnet)


@pytest.mark.exact
def test_mixed_precision_shares_the_cache_and_bfloat16_has_its_own(prepared, cache_dir):
    """So a GPU, where `auto` is mixed, and a CPU, where it is float32, read the same features."""
    for precision, shared in (("mixed", True), ("bfloat16", False)):
        overrides = ("data.x_flip=true", f"clip.precision={precision}", f"resnet.precision={precision}")
        other = prepare(make_config(*tiny(cache_dir, *overrides)), torch.device("cpu"))
        for name in ("clip_text", "clip_image", "resnet_image"):
            ours, theirs = (getattr(each.features.train, name) for each in (prepared, other))
            assert (ours.filename == theirs.filename) == shared


@pytest.mark.exact
def test_no_resnet_is_loaded_where_no_term_needs_it(cache_dir):
    prepared = prepare(make_config(*tiny(cache_dir, "loss=lafite")), torch.device("cpu"))
    assert prepared.resnet is None
    assert prepared.features.train.resnet_image is None
    assert prepared.features.text_to_resnet is None


@pytest.mark.exact
def test_the_judge_is_another_clip(prepared):
    assert prepared.judge.key != prepared.clip.key


@pytest.mark.exact
def test_caption_starts():
    assert caption_starts([["a"], ["b", "c"], ["d"]]).tolist() == [0, 1, 3, 4]
