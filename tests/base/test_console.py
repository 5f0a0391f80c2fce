"""Progress where the output is no terminal: plain lines, rarely, with an ETA that can be believed."""

import io

import pytest
from rich.console import Console

from clipgan.base import console as progress
from clipgan.base.console import track


@pytest.fixture
def lines(monkeypatch):
    """Runs `track` on a clock of its own, a second an item; returns its lines."""

    def run(count, **settings):
        out, now = io.StringIO(), [0.0]
        monkeypatch.setattr(progress, "console", Console(file=out, soft_wrap=True))
        monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
        seen = []
        for item in track(range(count), "packing", **settings):
            now[0] += 1
            seen.append(item)
        assert seen == list(range(count))
        return out.getvalue().splitlines()

    return run


def test_a_short_task_prints_nothing(lines):
    assert lines(9, total=9) == []


def test_a_line_now_and_then(lines):
    assert lines(25, total=25) == [
        "packing: 10/25, 0:10 elapsed, 1.00/s, ETA 0:15",
        "packing: 20/25, 0:20 elapsed, 1.00/s, ETA 0:05",
    ]


def test_items_that_are_more_than_one_thing(lines):
    assert lines(11, total=40_000, size=16) == ["packing: 160/40000, 0:10 elapsed, 16/s, ETA 41:30"]
    assert lines(11, total=400_000, size=16)[0].endswith("ETA 6:56:30")


def test_what_was_done_before_does_not_count_for_the_speed(lines):
    assert lines(11, total=40_000, size=16, done=32_000) == [
        "packing: resuming at 32000 of 40000",
        "packing: 32160/40000, 0:10 elapsed, 16/s, ETA 8:10",
    ]
