"""Cached features: equal to the encoder's own output, ridge regression against the normal equations."""

import numpy as np
import pytest
import torch

from clipgan.features import caption_starts, r_squared, ridge_regression, to_images
from clipgan.prepare import prepare
from tests.helpers import make_config
from tests.tiny import tiny


@pytest.fixture(scope="module")
def prepared(cache_dir):
    return prepare(make_config(*tiny(cache_dir, "data.x_flip=true")), torch.device("cpu"))


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
            np.testing.assert_allclose(cached[flip, :5], expected, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(cached, axis=2), 1, atol=1e-5)


def test_text_features_are_those_of_the_captions(prepared):
    features, captions = prepared.features.heldout, prepared.data.heldout.captions
    for image in (0, 7):
        start, end = features.caption_start[image : image + 2]
        assert end - start == len(captions[image])
        expected = prepared.clip.encode_text(captions[image]).numpy()
        np.testing.assert_allclose(features.clip_text[start:end], expected, atol=1e-5)


def test_a_second_preparation_reads_the_cache(prepared, cache_dir, monkeypatch):
    def refuse(*_):
        raise AssertionError("an encoder ran")

    monkeypatch.setattr("clipgan.encoders.clip.FrozenClip.encode_image", refuse)
    monkeypatch.setattr("clipgan.encoders.clip.FrozenClip.encode_text", refuse)
    again = prepare(make_config(*tiny(cache_dir, "data.x_flip=true")), torch.device("cpu"))
    np.testing.assert_array_equal(again.features.train.clip_text, prepared.features.train.clip_text)
    torch.testing.assert_close(again.features.text_to_resnet, prepared.features.text_to_resnet)


def test_no_resnet_is_loaded_where_no_term_needs_it(cache_dir):
    prepared = prepare(make_config(*tiny(cache_dir, "loss=lafite")), torch.device("cpu"))
    assert prepared.resnet is None
    assert prepared.features.train.resnet_image is None
    assert prepared.features.text_to_resnet is None


def test_the_judge_is_another_clip(prepared):
    assert prepared.judge.key != prepared.clip.key


def test_ridge_regression_minimises_its_objective():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(50, 4)), random.normal(size=(50, 3))
    strength = 0.1
    weights = ridge_regression(x, y, strength)

    def objective(w):
        return np.square(x @ w - y).sum() / 50 + strength * np.square(w).sum()

    best = objective(weights)
    for _ in range(20):
        assert objective(weights + 1e-2 * random.normal(size=weights.shape)) > best
    stacked = np.concatenate([x, np.sqrt(50 * strength) * np.eye(4)])  # the same as least squares with extra rows
    expected = np.linalg.lstsq(stacked, np.concatenate([y, np.zeros((4, 3))]), rcond=None)[0]
    np.testing.assert_allclose(weights, expected, atol=1e-6)


def test_r_squared_of_known_predictions():
    y = np.array([[1.0], [2.0], [3.0]])
    assert r_squared(y, y, np.eye(1)) == 1.0
    assert r_squared(np.ones((3, 1)), y, np.array([[2.0]])) == 0.0


def test_caption_starts():
    assert caption_starts([["a"], ["b", "c"], ["d"]]).tolist() == [0, 1, 3, 4]
