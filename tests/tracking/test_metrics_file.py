"""metrics.jsonl: a changed byte is found, and a resumed run repairs the file from its checkpoint."""

import json
import random

import pytest

from clipgan.tracking.metrics_file import MetricsFile, parse, with_checksum


@pytest.fixture
def whole(tmp_path):
    file = MetricsFile(tmp_path / "metrics.jsonl", None, None)
    for step in range(4):
        file.append(step, {"fid32": 3.25 - step / 7, "loss/G": -0.5, "memory_gb": 1e-9})
    return file


def test_no_flipped_bit_is_believed_and_a_resume_repairs_it(whole, capsys):
    good, draw = whole.path.read_bytes(), random.Random(0)
    saved = list(whole.lines)
    for _ in range(300):
        bad = bytearray(good)
        place = draw.randrange(len(bad))
        bad[place] ^= 1 << draw.randrange(8)
        whole.path.write_bytes(bad)
        lines = whole.path.read_bytes().decode(errors="replace").splitlines()
        assert [record for line in lines if (record := parse(line)) and record not in whole.records] == []
        capsys.readouterr()
        again = MetricsFile(whole.path, 3, saved)
        assert again.path.read_bytes() == good
        assert again.records == whole.records
        said = capsys.readouterr().out
        assert "repaired from the checkpoint" in said or place == len(good) - 1  # a last line without its end is whole


def test_no_single_flip_in_a_checksum_is_believed():
    """One makes the checksum's last 0 a space, which JSON allows there."""
    records = [{"step": step, "time": 1.5} for step in range(99)]
    line, record = next((text, each) for each in records if (text := with_checksum(json.dumps(each)))[-2] == "0")
    assert parse(line) == record
    flipped = [line[:place] + chr(ord(line[place]) ^ 1 << bit) + line[place + 1 :]
               for place in range(len(line)) for bit in range(8)]  # fmt: skip
    assert [text for text in flipped if parse(text) not in (None, record)] == []


def test_a_checkpoint_without_a_copy_keeps_the_good_lines_and_says_so(whole, capsys):
    lines = whole.path.read_text().splitlines()
    lines[1] = lines[1].replace("3", "4", 1)
    whole.path.write_text("\n".join(lines))
    again = MetricsFile(whole.path, 2, None)
    assert [record["step"] for record in again.records] == [0, 2]
    assert "1 damaged lines are left out (line 2)" in capsys.readouterr().out


def test_later_records_and_a_cut_line_go_in_silence(whole, capsys):
    with whole.path.open("a") as file:
        file.write('{"step": 4, "ti')
    assert MetricsFile(whole.path, 1, whole.lines[:2]).path.read_text().splitlines() == whole.lines[:2]
    assert capsys.readouterr().out == ""


def test_a_file_of_an_earlier_version_goes_on(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0, "time": 1.5, "fid32": 3.0}\n{"step": 1, "time": 2, "fid32": NaN}\n')
    file = MetricsFile(path, 1, None)
    file.append(2, {"fid32": 1.0})
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert ["crc32" in row for row in rows] == [False, False, True]
