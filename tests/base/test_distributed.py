"""What several processes do one after another."""

import pytest

from clipgan.base import distributed


@pytest.mark.parametrize(("rank", "order"), [(0, ["block", "told"]), (1, ["told", "block"])])
def test_the_first_process_fills_the_cache_before_the_others_look_there(monkeypatch, rank, order):
    """Only the first one's block ends before it tells the others, who wait for that before theirs."""
    done: list[str] = []
    monkeypatch.setattr(distributed, "planned_rank", lambda: rank)
    monkeypatch.setattr(distributed, "value_of_first", lambda *_: done.append("told"))
    with distributed.after_first("prepared"):
        done.append("block")
    assert done == order
