"""Looking into the cache, checking it, emptying it."""

import ast
import os
import pty
import sys

import pytest
from filelock import FileLock

from clipgan.base.cache import cache_entry
from clipgan.cache_tool import KINDS
from tests import warm
from tests.helpers import ROOT


@pytest.fixture
def cache(tmp_path):
    root = tmp_path / "cache"
    for kind, words in (("data", "a" * 3000), ("features", "b" * 1000)):
        cache_entry(root, kind, {"source": {"name": "shapes"}, "of": kind}, lambda to, words=words: put(to, words))
    with pytest.raises(KeyboardInterrupt):
        cache_entry(root, "data", {"source": {"name": "emoji"}}, stop, resumable=True)
    return root


def put(directory, words):
    (directory / "content").write_text(words)


def stop(directory):
    raise KeyboardInterrupt


def run(cache, *arguments, status=0, **options):
    command = [sys.executable, "-m", "clipgan.cache_tool", *arguments, "--cache-dir", str(cache)]
    result = warm.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **options)
    assert result.returncode == status, result.stderr
    return result.stdout + result.stderr


def rows(output):
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if line.startswith("│")]


def folders(root):
    return sorted(path.relative_to(root).as_posix() for path in root.glob("*/*") if path.is_dir())


def test_info_lists_entries_and_unfinished_ones(cache):
    listed = rows(run(cache, "info"))
    assert sorted((row[0], row[5]) for row in listed[:-1]) == [
        ("data", "unfinished"), ("data", "whole"), ("features", "whole"),
    ]  # fmt: skip
    assert {row[2] for row in listed[:-1]} == {"shapes", "emoji"}
    assert [row[0] for row in rows(run(cache, "info", "--kind", "features"))[:-1]] == ["features"]


def test_verify_finds_what_keeps_size_and_time_and_its_status_says_so(cache):
    run(cache, "verify")
    [content] = cache.glob("data/*/content")
    stat = content.stat()
    content.write_text("x" * 3000)
    os.utime(content, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert "other" not in run(cache, "info")
    assert "other" in run(cache, "verify", status=1)


def test_clean_leaves_what_is_being_made(cache):
    [unfinished] = cache.glob("data/*.partial")
    with FileLock(unfinished.with_suffix(".lock")):
        out = run(cache, "clean", "--yes")
    assert "2 entries removed" in out
    assert f"{unfinished.name} is being made" in out
    assert folders(cache) == [f"data/{unfinished.name}"]
    run(cache, "clean", "--yes")
    assert folders(cache) == []


def test_clean_touches_nothing_without_the_mark_of_this_project(cache):
    """One level too high is another program's cache; beside an entry lie folders of others."""
    entry = next(path for path in cache.glob("features/*") if path.is_dir())
    for other in ("pip/http", "data/0123456789abcdef", "data/wheels", "features/fedcba9876543210.partial"):
        (cache / other).mkdir(parents=True)
        (cache / other / "entry.json").write_text('{"a": 1}')
    (cache / "clip").mkdir()
    (cache / "clip" / entry.name).symlink_to(entry)
    out = run(cache.parent, "clean", "--yes")
    assert "0 entries removed" in out
    assert len(folders(cache)) == 8
    assert len(rows(run(cache, "info"))) == 4
    assert "3 entries removed" in run(cache, "clean", "--yes")
    assert folders(cache) == ["data/0123456789abcdef", "data/wheels", "features/fedcba9876543210.partial", "pip/http"]


def test_clean_lists_and_asks(cache):
    before = folders(cache)
    out = run(cache, "clean", status=1, stdin=warm.DEVNULL)
    assert len(rows(out)) == 4
    assert f"clean would remove 3 entries of {cache}: add --yes to remove them" in out
    assert folders(cache) == before
    for answer in (b"\n", b"y\n"):
        ours, theirs = pty.openpty()
        os.write(ours, answer)
        assert ("3 entries removed" in run(cache, "clean", stdin=theirs)) == (answer == b"y\n")
        os.close(ours), os.close(theirs)
        assert (folders(cache) == []) == (answer == b"y\n")


def test_an_unknown_kind_is_refused_and_all_kinds_are_known(cache):
    assert "invalid choice: 'feature'" in run(cache, "clean", "--yes", "--kind", "feature", status=2)
    used = {
        node.args[1].value
        for path in (ROOT / "clipgan").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "cache_entry"
    }
    assert used == set(KINDS)


def test_what_the_system_refuses_is_one_message(tmp_path):
    said = run(tmp_path / ("x" * 300), "info", status=1)
    assert said.startswith("a file's name is too long for the file system: ")
    assert said.count("\n") == 1
