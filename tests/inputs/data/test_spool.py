"""Lists and captions that live on the disk behave as those in memory."""

import mmap
from pathlib import Path

import numpy as np
import pytest

from clipgan.inputs.data import packed_captions
from clipgan.inputs.data.memory_maps import release_pages
from clipgan.inputs.data.packed_captions import CaptionFile, caption_starts
from clipgan.inputs.data.spool import Spool, Subset

ITEMS = [f"item {k}" * k for k in range(9)]


def test_a_spool_is_the_list_of_its_items():
    spool = Spool(ITEMS[:4])
    assert spool[3] == ITEMS[3]
    for item in ITEMS[4:]:  # after a read, which wrote out what was there
        spool.append(item)
    assert list(spool) == ITEMS
    assert (len(spool), spool[-1]) == (9, ITEMS[-1])
    assert list(spool[2:7:2]) == ITEMS[2:7:2]
    with pytest.raises(IndexError):
        spool[9]
    assert list(Spool()) == []


@pytest.mark.parametrize("items", [ITEMS, Spool(ITEMS)])
def test_chosen_items_keep_their_order_and_can_be_chosen_from(items):
    chosen = Subset(items, [7, 0, 3])
    assert list(chosen) == [ITEMS[7], ITEMS[0], ITEMS[3]]
    assert list(chosen[1:]) == [ITEMS[0], ITEMS[3]]
    assert list(Subset(chosen, [2, 2])) == [ITEMS[3], ITEMS[3]]


@pytest.mark.parametrize("piece", [3, 1 << 24])
def test_captions_come_from_their_lines(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(packed_captions, "PIECE", piece)
    path = tmp_path / "captions.jsonl"
    path.write_text('["a", "b\\n"]\n[]\n["ä\u2028ö"]\n', encoding="utf-8")
    captions = CaptionFile(path)
    assert list(captions) == [["a", "b\n"], [], ["ä\u2028ö"]]
    assert captions[-1] == captions[2] == ["ä\u2028ö"]
    assert captions[:2] == [["a", "b\n"], []]
    assert len(captions) == 3
    with pytest.raises(IndexError):
        captions[3]
    assert caption_starts(captions).tolist() == [0, 2, 2, 3]


def resident(path):
    """Pages of `path` in this process, kB."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    return sum(
        next(int(text.split()[1]) for text in lines if text.startswith("Rss:")) for line in lines if str(path) in line
    )


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="the system has no madvise")
def test_forgotten_pages_leave_the_process_and_can_be_read_again(tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, np.arange(1_000_000, dtype=np.int64))
    rows = np.load(path, mmap_mode="r")
    total = int(rows.sum())
    assert resident(path) > 7000
    release_pages(rows[5:])
    assert resident(path) < 1000
    assert int(rows.sum()) == total
    release_pages(np.arange(3))
