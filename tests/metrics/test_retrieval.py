"""Retrieval of a caption among others: known similarities, and the project's judge on its own training."""

import pytest
import torch

from clipgan.conditions import prompts
from clipgan.config import ConditionConfig
from clipgan.metrics.retrieval import Retrieval, top_1
from clipgan.prepare import prepare
from clipgan.training.state import new_state
from tests.helpers import make_config
from tests.tiny import tiny

CPU = torch.device("cpu")


def test_top_1_of_known_embeddings():
    texts = torch.eye(6)
    images = texts.clone()
    images[1] = texts[2]  # finds another caption of its group (0 to 2)
    images[4] = texts[0]  # another of the other group: no candidate, so all of its own fit equally badly
    assert top_1(images, texts, 3) == pytest.approx(5 / 6)
    assert top_1(images, texts, 6) == pytest.approx(4 / 6)


def test_a_caption_that_is_there_twice_is_no_miss():
    texts = torch.eye(3)[[0, 0, 2]]
    assert top_1(texts, texts, 3) == 1.0


def test_the_measure_is_repeatable_and_near_chance_for_an_untrained_generator(cache_dir):
    config = make_config(*tiny(cache_dir))
    prepared = prepare(config, CPU)
    conditions = prompts(prepared.features.heldout, ConditionConfig(), 0)
    measure = Retrieval.of(prepared.judge, prepared.data.heldout, conditions, config.metrics, CPU)
    assert measure.key == "retrieval32_clip_tiny"
    generator = new_state(config, prepared.clip.dim, CPU).generator_ema
    assert measure(generator, 0) == measure(generator, 0)
    assert measure(generator, 0) <= 8 / 32
    assert Retrieval.of(None, prepared.data.heldout, conditions, config.metrics, CPU) is None
