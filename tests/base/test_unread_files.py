"""Bit rot in the cache: a changed byte, with size and time as they were, is found before or while it is used."""

import os
import shutil
import time

import pytest

from clipgan.base import unread_files
from clipgan.base.cache import cache_entry
from clipgan.base.errors import UserError
from clipgan.base.unread_files import SHARE, BackgroundCheck

BYTES = bytes(range(256)) * 16


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Files above 1 kB count as large, and no other test's files are compared."""
    monkeypatch.setattr(unread_files, "_unread", {})
    monkeypatch.setattr("clipgan.base.unread_files.LARGE", 1000)
    monkeypatch.setattr("clipgan.base.cache.LARGE", 1000)


def entry(root, mapped, kind="data", content=BYTES, **description):
    def build(to):
        (to / "content").write_bytes(content)

    return cache_entry(root, kind, {"a": 1, **description}, build, mapped=mapped) / "content"


def flip(path, bit=12345):
    """Change one bit; size and time stay."""
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[bit // 8 % len(content)] ^= 1 << bit % 8
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize(("mapped", "content"), [(False, BYTES), (True, BYTES[:900])])
def test_a_flipped_bit_of_what_a_start_reads_is_found_at_the_start(tmp_path, mapped, content, capsys):
    path = entry(tmp_path, mapped, content=content)
    flip(path)
    assert entry(tmp_path, mapped, content=content).read_bytes() == content
    assert "content has other content than was written): rebuilding it" in capsys.readouterr().out


def test_a_flipped_bit_of_a_mapped_file_ends_the_training_and_the_next_start_rebuilds_it(tmp_path):
    path = entry(tmp_path, mapped=True)
    flip(path)
    assert entry(tmp_path, mapped=True).read_bytes() != BYTES  # a start does not read it
    with BackgroundCheck() as check:
        check._thread.join()
        with pytest.raises(UserError, match=r"content has other content than was written; the next start rebuilds it"):
            check.refuse_damage()
    assert entry(tmp_path, mapped=True).read_bytes() == BYTES


@pytest.mark.parametrize("first", ["background", "main"])
def test_a_file_may_be_compared_by_both_threads(tmp_path, monkeypatch, first):
    """As where a training makes an entry while its background check runs."""
    entry(tmp_path, mapped=True)
    check = BackgroundCheck()
    digest, other = unread_files.file_digest, check._compare if first == "background" else unread_files.compare_unread

    def overtaken(path):
        other()
        return digest(path)

    if first == "background":
        monkeypatch.setattr(unread_files, "file_digest", overtaken)
        unread_files.compare_unread()
    else:
        monkeypatch.setattr(check, "_slow_digest", overtaken)
        check._compare()
    assert check.damage is None
    assert unread_files._unread == {}


def test_a_new_entry_is_not_derived_from_a_damaged_one(tmp_path):
    source = entry(tmp_path, mapped=True)
    flip(source)
    with pytest.raises(UserError, match="the next start rebuilds it"):
        entry(tmp_path, mapped=False, kind="features", of=source.parent.name)
    assert not list(tmp_path.glob("features/*.partial"))
    entry(tmp_path, mapped=True)
    entry(tmp_path, mapped=False, kind="features", of=source.parent.name)


def test_a_whole_file_is_compared_once_and_slowly(tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(unread_files, "PIECE", 100)
    entry(tmp_path, mapped=True)
    check = BackgroundCheck()
    monkeypatch.setattr(check._end, "wait", waits.append)
    before = time.thread_time()
    check._compare()
    busy = time.thread_time() - before
    assert check.damage is None
    assert not unread_files._unread
    assert len(waits) == -(-len(BYTES) // 100)
    assert 0 < sum(waits) <= busy * (1 / SHARE - 1)  # pauses follow the time that the pieces took


def test_the_end_of_a_training_does_not_wait_for_the_check(tmp_path, monkeypatch):
    monkeypatch.setattr(unread_files, "PIECE", 1)
    monkeypatch.setattr(unread_files, "SHARE", 1e-9)  # hours
    entry(tmp_path, mapped=True)
    with BackgroundCheck() as check:
        pass
    assert not check._thread.is_alive()
    assert check.damage is None


def test_of_a_cache_that_is_gone_one_message_comes_and_the_process_goes_on(tmp_path):
    shutil.rmtree(entry(tmp_path, mapped=True).parent)
    with pytest.raises(UserError, match=r"is in use and cannot be read \(No such file or directory\): run it again"):
        entry(tmp_path, mapped=False, kind="features")
    assert entry(tmp_path, mapped=False, kind="features").read_bytes() == BYTES
