"""Pictures and their captions: known similarities."""

import pytest
import torch

from clipgan.metrics.retrieval import clip_score, r_precision, text_rows


def test_r_precision_of_known_embeddings():
    texts = torch.eye(6)
    images = texts.clone()
    images[1] = texts[2]  # finds another caption of its group (0 to 2)
    images[4] = texts[0]  # another of the other group: no candidate, so all of its own fit equally badly
    assert r_precision(images, texts, 3) == pytest.approx(5 / 6)
    assert r_precision(images, texts, 6) == pytest.approx(4 / 6)
    assert r_precision(images, texts, 4) == pytest.approx(3 / 4)  # the last two make no group


def test_a_caption_that_is_there_twice_is_no_miss():
    texts = torch.eye(3)[[0, 0, 2]]
    assert r_precision(texts, texts, 3) == 1.0


def test_clip_score_is_a_hundred_cosines():
    texts = torch.eye(4)
    images = torch.stack([texts[0], texts[0], -texts[2], 0.6 * texts[3] + 0.8 * texts[0]])
    assert clip_score(images, texts) == pytest.approx(100 * (1 + 0 + 0 + 0.6) / 4)


def test_each_caption_is_encoded_once():
    asked = []

    def encode(texts):
        asked.extend(texts)
        return torch.tensor([[float(len(text))] for text in texts])

    assert text_rows(["aa", "b", "aa"], encode).tolist() == [[2], [1], [2]]
    assert asked == ["aa", "b"]
