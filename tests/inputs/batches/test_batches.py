"""Batches: every image once an epoch, features beside their images, the same for the same seed and step."""

import numpy as np
import pytest
import torch

from clipgan.base.errors import UserError
from clipgan.inputs.batches.batches import Batches
from clipgan.inputs.data.pack import Split
from clipgan.inputs.features.feature_cache import SplitFeatures
from clipgan.inputs.features.neighbours import nearest_captioned
from tests.helpers import make_config

pytestmark = pytest.mark.numeric

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


def batches(split_and_features, *overrides, size=4, seed=0, x_flip=True):
    config = make_config("model.mbstd_group=1", f"batch={size}", f"seed={seed}", *overrides)
    return Batches(config, *split_and_features, torch.device("cpu"), x_flip)


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


@pytest.mark.exact
def test_an_epoch_shows_each_image_at_most_once(split_and_features):
    source = batches(split_and_features, size=5)
    epochs = [torch.cat([index_of(source.at(2 * epoch + place)) for place in range(2)]) for epoch in range(3)]
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(N))
    assert epochs[0].tolist() != epochs[1].tolist()


@pytest.mark.exact
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


@pytest.mark.exact
def test_a_batch_larger_than_the_set(split_and_features):
    with pytest.raises(UserError, match=r"batch=11 is larger .* 10 training images"):
        batches(split_and_features, size=11)


def test_further_targets_are_of_other_images_and_new_in_each_step(split_and_features):
    source = batches(split_and_features, "contrast.negatives=6")
    drawn = []
    for step in range(4):
        batch = source.at(step)
        further = batch.further.clip_image[:, 0].abs().round().tolist()
        assert sorted([*further, *index_of(batch).tolist()]) == list(range(N))  # 6 of the 6 others
        assert batch.further.text[:, 0].tolist() == further
        assert batch.further.resnet_image[:, 0].abs().tolist() == [10 * index for index in further]
        drawn.append(tuple(further))
    assert len(set(drawn)) == 4
    assert batches(split_and_features).at(0).further is None


def test_more_further_targets_than_images(split_and_features):
    with pytest.raises(UserError, match=r"contrast\.negatives=7 is too many: beside batch=4 the data set has 6"):
        batches(split_and_features, "contrast.negatives=7")


def test_parts_are_runs_of_the_whole(split_and_features):
    batch = batches(split_and_features).at(0)
    assert batch.parts(1) == [batch]
    parts = batch.parts(2)
    assert [part.rows for part in parts] == [range(2), range(2, 4)]
    for name in ("images", "text", "condition", "clip_image", "resnet_image"):
        torch.testing.assert_close(torch.cat([getattr(part, name) for part in parts]), getattr(batch, name))
    [last] = parts[1].part(range(3, 4)).text.tolist()
    assert last == batch.text[3].tolist()


WIDE = 64  # widths in which random directions are nearly orthogonal


@pytest.fixture
def wide():
    """Captions and images with features that have nothing to do with each other; image i has caption i."""
    random = np.random.default_rng(0)
    text, image = random.normal(size=(2, 200, WIDE)).astype(np.float32)
    text, image = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (text, image))
    images = np.tile(np.arange(200, dtype=np.uint8)[:, None, None, None], (1, 3, 8, 8))
    return Split(images, [["caption"]] * 200), SplitFeatures(np.arange(201), text, image[None], None)


def conditions(wide, *overrides):
    batch = batches(wide, *overrides, size=100, x_flip=False).at(1)
    index = index_of(batch).long().numpy()
    return batch, torch.from_numpy(wide[1].clip_text[index]), torch.from_numpy(wide[1].clip_image[0, index])


def cosine(a, b):
    return (a * b).sum(dim=1)


def test_text_conditions_are_captions_with_noise(wide):
    batch, text, _ = conditions(wide, "condition=text")
    torch.testing.assert_close(batch.text, text)
    torch.testing.assert_close(batch.condition.norm(dim=1), torch.ones(100))
    # |n| = 0.1 beside |u| = 1 at nearly a right angle
    assert float(cosine(batch.condition, text).mean()) == pytest.approx(1 / (1 + 0.1**2) ** 0.5, abs=2e-3)


def test_language_free_conditions_are_images_with_noise_and_no_caption_is_read(wide):
    split, features = wide
    blind = SplitFeatures(np.zeros(201, dtype=np.int64), np.empty((0, WIDE), np.float32), features.clip_image, None)
    batch, _, image = conditions(wide, "condition=language_free")
    unread = batches((split, blind), "condition=language_free", size=100, x_flip=False).at(1)
    torch.testing.assert_close(batch.condition, batch.text)  # the noise is in the pseudo text already
    torch.testing.assert_close(unread.text, batch.text)
    assert float(cosine(batch.text, image).mean()) == pytest.approx(1 / (1 + 0.75**2) ** 0.5, abs=2e-2)


def test_mixed_conditions_are_of_both_kinds(wide):
    batch, text, image = conditions(wide, "condition=mixed", "condition.language_free=0.25")
    captioned = cosine(batch.text, text) > 0.999
    assert 10 <= int((~captioned).sum()) <= 40
    assert (cosine(batch.text, image)[~captioned] > 0.6).all()
    torch.testing.assert_close(batch.condition[~captioned], batch.text[~captioned])
    assert (cosine(batch.condition, text)[captioned] < 0.999).all()


def test_nearest_conditions_are_captions_of_the_most_similar_other_image(wide):
    batch, _, image = conditions(wide, "condition=nearest")
    similarity = image @ torch.from_numpy(wide[1].clip_image[0]).T
    own = index_of(batch).long()
    similarity[torch.arange(100), own] = -2
    torch.testing.assert_close(batch.text, torch.from_numpy(wide[1].clip_text)[similarity.argmax(dim=1)])
    assert float(cosine(batch.condition, batch.text).mean()) == pytest.approx(1 / (1 + 0.1**2) ** 0.5, abs=2e-3)


def test_several_near_images_lend_their_captions_in_turn(wide):
    seen = batches(wide, "condition=nearest", "condition.neighbours=3", size=100, x_flip=False)
    texts = torch.from_numpy(wide[1].clip_text)
    found = {0: 0, 1: 0, 2: 0}
    for step in range(2):
        batch = seen.at(step)
        own = index_of(batch).long()
        similarity = torch.from_numpy(wide[1].clip_image[0]) @ torch.from_numpy(wide[1].clip_image[0]).T
        best = similarity.fill_diagonal_(-2)[own].topk(3).indices
        chosen = (batch.text[:, None] == texts[best]).all(dim=2)
        assert chosen.any(dim=1).all()
        for place in found:
            found[place] += int(chosen[:, place].sum())
    assert min(found.values()) > 30  # of 200; 67 each on average, with a standard deviation of 7


def test_only_captioned_images_are_neighbours(wide):
    _, features = wide
    starts = np.minimum(np.arange(201), 3)  # the first three images have captions
    few = SplitFeatures(starts, features.clip_text[:3], features.clip_image, None)
    near = nearest_captioned(few, 2, torch.device("cpu"))
    assert near.shape == (200, 2)
    assert set(near.ravel()) == {0, 1, 2}
    assert all(image not in row for image, row in enumerate(near))
    with pytest.raises(UserError, match=r"condition\.neighbours=3 is too many: the data set has 3 training images"):
        nearest_captioned(few, 3, torch.device("cpu"))


def test_mismatched_conditions_are_of_other_images_of_the_whole_batch(wide):
    batch = batches(wide, "adversarial.mismatch=1", size=16, x_flip=False).at(3)
    assert torch.equal(batch.mismatched, batch.condition[[-1, *range(len(batch.rows) - 1)]])
    parts = batch.parts(2)
    assert torch.equal(parts[1].mismatched[0], parts[0].condition[-1])
    assert len(batch.condition.unique(dim=0)) == 16
    assert batches(wide, x_flip=False).at(3).mismatched is None
