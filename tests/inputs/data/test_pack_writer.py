"""Packing goes on where it was interrupted, and the result is the same."""

import json

import numpy as np
import pytest

from clipgan.base.cache import cache_entry
from clipgan.base.errors import UserError
from clipgan.inputs.data.pack import Contents, Record, Source, open_pack
from clipgan.inputs.data.pack_writer import CHUNK, write_pack

TOTAL = 2 * CHUNK + 30


def source(starts, fail_at=None):
    """Image k is filled with k % 251; each seventh is refused; reading stops with an error at `fail_at`."""

    def read(split, resolution, start):
        starts.append((split, start))
        for k in range(start, TOTAL if split == "train" else 5):
            if split == "train" and k == fail_at:
                raise KeyboardInterrupt
            if k % 7 == 6:
                yield f"{k}.png: unreadable"
            else:
                yield Record(np.full((8, 8, 3), k % 251, np.uint8), [f"caption {k}", "ä\n"], f"{k}.png")

    return Source({"name": "test"}, lambda: Contents({"train": TOTAL, "heldout": 5}, read, ["first.png: no caption"]))


def pack(root, source):
    entry = cache_entry(root, "data", {"a": 1}, lambda to: write_pack(to, source, 8), resumable=True)
    return open_pack("test", entry, x_flip=True)


@pytest.mark.parametrize(("fail_at", "goes_on_at"), [(2 * CHUNK + 7, 2 * CHUNK), (CHUNK - 1, 0)])
def test_an_interrupted_packing_goes_on(tmp_path, fail_at, goes_on_at):
    whole = pack(tmp_path / "whole", source([]))
    starts = []
    with pytest.raises(KeyboardInterrupt):
        pack(tmp_path / "again", source(starts, fail_at))
    again = pack(tmp_path / "again", source(starts))
    assert starts == [("train", 0), ("train", goes_on_at), ("heldout", 0)]
    kept = [k for k in range(TOTAL) if k % 7 != 6]
    assert again.train.images[:, 0, 0, 0].tolist() == [k % 251 for k in kept]
    assert list(again.train.captions) == [[f"caption {k}", "ä\n"] for k in kept]
    assert len(again.heldout) == 5
    assert again.skipped == ["first.png: no caption"] + [f"{k}.png: unreadable" for k in range(TOTAL) if k % 7 == 6]
    for split in ("train", "heldout"):
        np.testing.assert_array_equal(getattr(again, split).images, getattr(whole, split).images)
        assert list(getattr(again, split).captions) == list(getattr(whole, split).captions)
    assert again.duplicates == whole.duplicates
    assert f"train: {251 + 1}.png repeats train: 1.png" in again.duplicates


def test_a_mistake_keeps_nothing(tmp_path):
    empty = Source({"name": "test"}, lambda: Contents({"train": 1, "heldout": 1}, lambda *_: iter(["a: bad"])))
    with pytest.raises(UserError, match="no usable image for the train split of data=test: a: bad; repair"):
        pack(tmp_path, empty)
    assert [path for path in (tmp_path / "data").iterdir() if path.is_dir()] == []


def test_the_files_say_where_each_image_came_from(tmp_path):
    data = pack(tmp_path, source([]))
    names = (data.skipped_file.parent / "train" / "names.jsonl").read_text().splitlines()
    assert [json.loads(name) for name in names[:7]] == ["0.png", "1.png", "2.png", "3.png", "4.png", "5.png", "7.png"]
