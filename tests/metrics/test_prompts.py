"""Which captions ask, and which real images answer."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from clipgan.base.errors import UserError
from clipgan.config import ConditionConfig
from clipgan.inputs.data.caption_list import read_caption_list
from clipgan.inputs.data.pack import Split
from clipgan.inputs.data.supplied_features import StoredFeatures
from clipgan.inputs.features.feature_cache import SplitFeatures
from clipgan.metrics.prompts import choose_prompts, evenly, listed_prompts, real_indices

CAPTIONS = [["a", "b"], ["c"], ["d", "e", "f"]]
ROWS = np.eye(6, dtype=np.float16)  # row k is caption k


def setting(n_images, captions="first", real="prompted"):
    split = Split(np.zeros((3, 3, 8, 8), dtype=np.uint8), CAPTIONS)
    features = SplitFeatures(np.array([0, 2, 3, 6]), ROWS, np.ones((1, 3, 6), dtype=np.float16), None)
    return split, features, SimpleNamespace(n_images=n_images, captions=captions, real=real)


def prompts_of(n_images, captions="first"):
    split, features, metrics = setting(n_images, captions)
    return choose_prompts(split, features, metrics, ConditionConfig())


def test_first_captions_of_evenly_chosen_images():
    assert prompts_of(2).captions == ["a", "c"]
    assert prompts_of(5).captions == ["a", "c", "d", "a", "c"]  # again from the first
    assert prompts_of(5).conditions.argmax(dim=1).tolist() == [0, 2, 3, 0, 2]


def test_random_captions_are_each_taken_once_first():
    prompts = prompts_of(6, "random")
    assert sorted(prompts.captions) == list("abcdef")
    assert prompts.conditions.argmax(dim=1).tolist() == ["abcdef".index(text) for text in prompts.captions]
    assert prompts_of(9, "random").captions[6:] == prompts.captions[:3]
    assert prompts_of(6, "random").captions == prompts.captions != list("abcdef")


def test_one_random_caption_of_each_image():
    prompts = prompts_of(3, "one")
    assert sorted("abcdef".index(text) for text in prompts.captions) == sorted(
        prompts.conditions.argmax(dim=1).tolist()
    )
    owners = ["ab", "c", "def"]
    assert sorted(next(k for k, texts in enumerate(owners) if text in texts) for text in prompts.captions) == [0, 1, 2]
    assert prompts_of(3, "one").captions == prompts.captions


@pytest.mark.parametrize("name", ["list.txt", "list.csv"])
def test_a_list_of_captions(tmp_path, name):
    start = "id,caption\n1," if name.endswith("csv") else ""
    path = tmp_path / name
    path.write_text(f"{start}a bird\n" + ("2,a dog\n" if start else "a dog\n"))
    assert read_caption_list("metrics.captions", path) == ["a bird", "a dog"]
    metrics = SimpleNamespace(n_images=3, caption_list=path)
    with pytest.raises(UserError, match=r"has 2 captions, and metrics\.n_images=3: give metrics\.n_images=2"):
        listed_prompts(metrics, None, torch.device("cpu"))
    path.write_text("caption\n" if start else "\n")
    with pytest.raises(UserError, match="has no captions"):
        read_caption_list("metrics.captions", path)
    path.unlink()
    with pytest.raises(UserError, match=r"metrics.captions=.* does not exist"):
        read_caption_list("metrics.captions", path)


@pytest.mark.parametrize("captions", ["first", "random", "one"])
def test_captions_that_came_as_features_condition_and_are_no_text(captions):
    split, features, metrics = setting(3, captions)
    stored = Split(split.images, split.captions, StoredFeatures(None, ROWS.astype(np.float32), has_words=False))
    assert split.has_words
    assert not stored.has_words
    prompts = choose_prompts(stored, features, metrics, ConditionConfig())
    assert prompts.captions is None
    assert torch.equal(prompts.conditions, prompts_of(3, captions).conditions)


@pytest.mark.parametrize("captions", ["first", "random", "one"])
def test_pseudo_texts_where_there_are_no_captions(captions):
    split, features, metrics = setting(2, captions)
    bare = Split(split.images, [[], [], []])
    without = SplitFeatures(features.caption_start, ROWS[:0], features.clip_image, None)
    prompts = choose_prompts(bare, without, metrics, ConditionConfig())
    assert prompts.captions is None
    assert prompts.conditions.shape == (2, 6)


def test_real_images_are_the_prompted_or_all():
    split, _, metrics = setting(2)
    assert real_indices(split, metrics).tolist() == evenly(3, 2).tolist() == [0, 1]
    metrics.real = "all"
    assert real_indices(split, metrics).tolist() == [0, 1, 2]


def test_images_are_evenly_chosen():
    assert evenly(10, 5).tolist() == [0, 2, 4, 6, 8]
    assert evenly(3, 8).tolist() == [0, 1, 2]
