"""Batches: every image once an epoch, features beside their images, the same for the same seed and step."""

import numpy as np
import pytest
import torch

from clipgan.data.batches import Batches
from clipgan.data.pack import Split
from clipgan.errors import UserError
from clipgan.features import SplitFeatures

N = 10


@pytest.fixture
def split_and_features():
    """Image i is filled with i, its left column with 100 + i; feature rows hold i, mirrored ones -i."""
    images = np.tile(np.arange(N, dtype=np.uint8)[:, None, None, None], (1, 3, 8, 8))
    images[..., 0] += 100
    counts = [1 + i % 3 for i in range(N)]
    start = np.concatenate([[0], np.cumsum(counts)])
    rows = np.arange(N, dtype=np.float32)[:, None]
    text = np.repeat(rows, counts, axis=0)
    features = SplitFeatures(start, text, np.stack([rows, -rows]), np.stack([rows, -rows]) * 10)
    return Split(images, [["caption"] * count for count in counts]), features


def batches(split_and_features, size=4, seed=0, x_flip=True):
    return Batches(*split_and_features, size, seed, torch.device("cpu"), x_flip)


def index_of(batch):
    return ((batch.images[:, 0, 0, 4] + 1) * 127.5).round()


def test_everything_in_a_batch_is_of_the_same_image(split_and_features):
    flips = []
    for step in range(20):
        batch = batches(split_and_features).at(step)
        index = index_of(batch)
        flipped = (batch.images[:, 0, 0, 7] > batch.images[:, 0, 0, 0]).float()
        torch.testing.assert_close(batch.text[:, 0], index)
        torch.testing.assert_close(batch.clip_image[:, 0], index * (1 - 2 * flipped))
        torch.testing.assert_close(batch.resnet_image[:, 0], 10 * index * (1 - 2 * flipped))
        flips += flipped.tolist()
    assert 0.3 < np.mean(flips) < 0.7


def test_an_epoch_shows_each_image_at_most_once(split_and_features):
    source = batches(split_and_features, size=5)
    epochs = [torch.cat([index_of(source.at(2 * epoch + place)) for place in range(2)]) for epoch in range(3)]
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(N))
    assert epochs[0].tolist() != epochs[1].tolist()


def test_a_step_alone_decides(split_and_features):
    first = batches(split_and_features)
    for step in range(6):
        first.at(step)
    torch.testing.assert_close(first.at(7).images, batches(split_and_features).at(7).images)
    assert not torch.equal(first.at(7).images, batches(split_and_features, seed=1).at(7).images)


def test_no_mirror_where_captions_have_sides(split_and_features):
    source = batches(split_and_features, x_flip=False)
    for step in range(5):
        assert (source.at(step).clip_image >= 0).all()


def test_images_are_in_range(split_and_features):
    images = batches(split_and_features).at(0).images
    assert images.dtype == torch.float32
    assert float(images.min()) >= -1
    assert float(images.max()) <= 1


def test_a_batch_larger_than_the_set(split_and_features):
    with pytest.raises(UserError, match=r"batch=11 is larger .* 10 training images"):
        batches(split_and_features, size=11)
