"""Progress where the output is no terminal: plain lines, rarely, with an ETA that can be believed."""

import ast
import io
import sys

import pytest
from rich.live import Live
from rich.table import Table
from rich.text import Text

from clipgan.base import console as progress
from clipgan.base.console import Output, PlainConsole, track
from tests.helpers import ROOT


@pytest.fixture
def lines(monkeypatch):
    """Runs `track` on a clock of its own, a second an item; returns its lines."""

    def run(count, **settings):
        out, now = io.StringIO(), [0.0]
        monkeypatch.setattr(progress, "console", PlainConsole(file=out))
        monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
        seen = []
        for item in track(range(count), "packing", **settings):
            now[0] += 1
            seen.append(item)
        assert seen == list(range(count))
        return out.getvalue().splitlines()

    return run


def test_lines_above_a_live_panel(monkeypatch):
    """On a terminal, rich's panel takes the place of the standard output and prints to the console."""
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stdout", screen)
    console = PlainConsole(file=Output(), force_terminal=True)
    with Live(get_renderable=lambda: "panel", console=console, auto_refresh=False, transient=True):
        console.print("of the console")
        print("of print")
    assert "of the console\n" in screen.getvalue()
    assert "of print\n" in screen.getvalue()


def test_a_pipe_is_no_terminal_where_colour_is_forced(lines, monkeypatch):
    """As in a notebook, whose kernel gives FORCE_COLOR to each process that it starts."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert len(lines(11, total=11)) == 1


@pytest.mark.parametrize(("term", "expected"), [("xterm", True), ("dumb", False)])
def test_a_terminal_that_redraws_nothing_gets_lines(monkeypatch, term, expected):
    """As in an editor: rich's live views show nothing there."""
    monkeypatch.delenv("TTY_COMPATIBLE", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("TERM", term)
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True, raising=False)
    assert PlainConsole(file=screen).is_terminal is expected


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


HOSTILE = "a red [/bird] [bold]:smile: \x1b[2J\x1b]0;title\x9b1m \u202ereversed \udce9.png"
SHOWN = "a red [/bird] [bold]:smile: \\x1b[2J\\x1b]0;title\\x9b1m \\u202ereversed \\udce9.png"


def table(text):
    result = Table(title=text)
    result.add_column(text)
    result.add_row(text)
    return result


@pytest.mark.parametrize("show", [str, Text, table])
def test_what_comes_from_outside_is_shown_as_it_is_and_escaped(show):
    out = io.StringIO()
    PlainConsole(file=out, width=200).print(show(HOSTILE))
    assert SHOWN in out.getvalue()
    assert not set(out.getvalue()) & set("\x1b\x9b\u202e\udce9")


def test_a_bar_on_a_terminal_shows_a_hostile_description(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(progress, "console", PlainConsole(file=out, force_terminal=True, width=300))
    assert list(track(range(3), HOSTILE, total=3)) == [0, 1, 2]
    assert SHOWN in out.getvalue()
    assert "\x1b]0;title" not in out.getvalue()


def test_all_consoles_are_plain():
    for package in ("clipgan", "sweeps"):
        for path in (ROOT / package).rglob("*.py"):
            called = [
                ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
            ]
            assert "Console" not in [name.rpartition(".")[2] for name in called], path
