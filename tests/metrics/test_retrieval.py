"""Pictures and their captions: known similarities."""

import pytest
import torch

from clipgan.metrics.retrieval import clip_score, different_texts, r_precision

pytestmark = pytest.mark.numeric


def test_r_precision_of_known_embeddings():
    texts = torch.eye(6)
    own = torch.tensor([0, 1, 2, 3, 4, 5, 5, 5])
    images = texts[own]
    images[1] = texts[2]  # finds another caption
    images[4] = 0  # all captions fit equally badly
    assert r_precision(images, texts, own, 6) == pytest.approx(6 / 8)
    assert r_precision(images, texts, own, 1) == 1


def test_candidates_are_an_images_own_caption_and_random_others():
    """An image that one other caption fits better is missed as often as that one is among the candidates."""
    texts = torch.eye(50)
    own = torch.arange(50).repeat(80)
    images = texts[own] + 2 * texts[(own + 1) % 50]
    assert r_precision(images, texts, own, 11) == pytest.approx(1 - 10 / 49, abs=0.02)
    assert r_precision(images, texts, own, 50) == 0


def test_a_caption_that_reads_the_same_is_no_miss():
    texts = torch.eye(4)[[0, 0, 1, 2]]
    own = torch.tensor([0, 1, 2, 3])
    assert r_precision(texts[own], texts, own, 4) == 1


@pytest.mark.usefixtures("float64")
def test_clip_score_is_a_hundred_cosines():
    texts = torch.eye(4)
    images = torch.stack([texts[0], texts[0], -texts[2], 0.6 * texts[3] + 0.8 * texts[0]])
    assert clip_score(images, texts) == pytest.approx(100 * (1 + 0 + 0 + 0.6) / 4)


@pytest.mark.exact
def test_each_caption_is_encoded_once():
    asked = []

    def encode(texts):
        asked.extend(texts)
        return torch.tensor([[float(len(text))] for text in texts])

    rows, own = different_texts(["aa", "b", "aa"], encode)
    assert rows.tolist() == [[2], [1]]
    assert own.tolist() == [0, 1, 0]
    assert asked == ["aa", "b"]
