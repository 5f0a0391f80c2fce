"""Captions beyond the context of CLIP are counted, and the count is printed once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from clipgan.inputs.data.pack import PackedData, Split
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.inputs.encoders.tiny.tiny_clip import TINY_MODEL, build_clip, register_tiny_model, tiny_preprocess
from clipgan.inputs.features.encoding import write_clip_features


@pytest.fixture
def clip():
    register_tiny_model()
    torch.manual_seed(0)
    return FrozenClip(build_clip(TINY_MODEL), TINY_MODEL, tiny_preprocess(TINY_MODEL))


def words(count):
    return " ".join(["bird"] * count)


@pytest.mark.parametrize("beyond", [0, 1])
def test_captions_beyond_the_context_are_counted_and_said_once(clip, tmp_path, capsys, beyond):
    fits = clip.context - 2  # a token marks the beginning, one the end
    texts = [["short", words(fits - 1)], [words(fits)], [words(fits + 1) if beyond else "short", words(1)], ["a"]]
    split = Split(np.zeros((4, 3, 32, 32), np.uint8), texts)
    heldout = Split(np.zeros((1, 3, 32, 32), np.uint8), [[words(500)] if beyond else ["a"]])
    data = PackedData("folder", "f", split, heldout, x_flip=False, skipped=[], skipped_file=Path())
    write_clip_features(tmp_path, data, clip, torch.device("cpu"))
    beginning = words(7)
    said = f'2 of 7 are too long, such as "{beginning}...": the text encoder reads the first {clip.context} tokens'
    assert capsys.readouterr().out.count(said) == beyond
    assert clip.truncated == 2 * beyond
