"""The check on a GPU: its time budget, its record, its tables. The measurements themselves need a GPU."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import torch

from bench.gpu import __main__ as gpu
from bench.gpu import mps, tables
from bench.gpu.__main__ import chosen
from bench.gpu.commands import seconds_of_trials
from bench.gpu.correct import NUMBERS, STRUCTURES
from bench.gpu.findings import Findings, Setting, read
from bench.gpu.parts import BUDGET, STAGES, Part, Stage
from bench.gpu.scheduling import Running, limits, run_stages
from bench.gpu.timing import CYCLE, SHARES, WARM_UP, mean_step, parts_of
from clipgan.base.randomness import StepRandom
from clipgan.engine.divergence import Watched
from clipgan.engine.step_graphs import Captured, StepGraphs, StepOutputs
from clipgan.tasks.gan.train_step import due_at, kinds_ahead
from tests.helpers import ROOT, make_config

WAITS = "import sys, time; limit = float(sys.stdin.readline()) - time.monotonic(); found = open(sys.argv[-1], 'w'); "
SAYS = "found.write('[\"limit\", %f]\\n' % limit); found.close(); "


def stage(*names: str, seconds: float = 1.0) -> Stage:
    return Stage(seconds, tuple(Part(name, "", "") for name in names))


def run(stages: list[Stage], budget: float, folder: Path, **programs: str) -> dict[str, dict[str, Any]]:
    """Run stages whose parts are small programs."""
    records: dict[str, dict[str, Any]] = {}
    run_stages(
        stages, budget, lambda part: [sys.executable, "-c", WAITS + SAYS + programs.get(part.name, "pass")], folder,
        records.__setitem__,
    )  # fmt: skip
    return records


def test_the_limits_fill_the_budget():
    assert sum(limits(STAGES, BUDGET)) == pytest.approx(BUDGET)
    assert limits([stage("a", seconds=1), stage("b", seconds=3)], 8) == [2, 6]


def test_every_part_can_be_loaded():
    names = [part.name for each in STAGES for part in each.parts]
    assert len(set(names)) == len(names)
    for each in STAGES:
        for part in each.parts:
            assert callable(part.load())


def test_the_rest_of_a_stage_goes_to_the_next(tmp_path):
    records = run([stage("a"), stage("b")], 60, tmp_path)
    assert records["a"]["found"]["limit"] < 31
    assert 31 < records["b"]["found"]["limit"] < 60  # its own half, and what the first has left over


def test_a_part_that_fails_or_is_late_does_not_stop_the_others(tmp_path):
    programs = {"bad": "sys.exit('no such GPU')", "slow": "time.sleep(60)"}
    records = run([stage("bad", "slow"), stage("good")], 4, tmp_path, **programs)
    assert {name: record["status"] for name, record in records.items()} == {
        "bad": "failed", "slow": "late", "good": "done"
    }  # fmt: skip
    assert records["bad"]["last line"] == "no such GPU"
    assert "limit" in records["slow"]["found"]  # what it had found before


def test_what_a_late_part_has_started_has_time_to_end(tmp_path):
    child = f"trap 'sleep 0.5; touch {tmp_path}/ended; exit' TERM; touch {tmp_path}/began; while :; do sleep 0.05; done"
    part = Running(
        Part("a", "", ""),
        [sys.executable, "-c", f"import subprocess; subprocess.run(['sh', '-c', {child!r}])"],
        tmp_path,
    )
    while not (tmp_path / "began").exists():
        time.sleep(0.02)
    part.ask()
    part.end(time.monotonic() + 60)
    assert (tmp_path / "ended").exists()
    assert part.late


def test_rows_are_left_out_when_no_time_is_left_for_another_one(tmp_path, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    setting, found, rows = Setting("cpu", True, None, tmp_path, deadline=100.0), Findings(tmp_path / "a"), []
    for name in setting.within(("a", "b", "c", "d"), found, first=5):
        rows.append(name)
        clock.now += 30.0 if name == "a" else 20.0
    assert rows == ["a", "b", "c"]  # before the last one 30 s are left, and the first one took that long
    assert read(found.file) == {"d": "left out: no time"}
    assert list(setting.within("e", found, first=31)) == []


def test_a_part_that_fails_keeps_what_it_has_measured_before(tmp_path, monkeypatch, capsys):
    file = tmp_path / "gpu.json"
    file.write_text(json.dumps(record()))
    late = {"status": "late", "seconds": 1.0, "found": {}}

    def parts(stages, budget, start, folder, keep):
        keep("step32", late)
        keep("lafite", late)  # it was late before
        keep("devices", late | {"status": "done", "found": {"auto": 1}})

    monkeypatch.setattr(gpu, "run_stages", parts)
    monkeypatch.setattr(gpu, "RECORD", file)
    monkeypatch.setattr(gpu, "FOLDER", tmp_path)
    handler = signal.getsignal(signal.SIGTERM)
    assert gpu.run({"budget": 1, "small": 1}, gpu.TEXTS | {"only": "step32,lafite,devices", "device": "cpu"}) == 1
    kept = json.loads(file.read_text())["parts"]
    assert kept["step32"] == record()["parts"]["step32"]
    assert kept["lafite"]["found"] == {}
    assert kept["devices"]["found"] == {"auto": 1}
    assert signal.getsignal(signal.SIGTERM) is handler  # of the caller, whose later signals are not this script's
    assert "not done: step32, lafite\n" in capsys.readouterr().out


def test_findings_survive_a_cut_line(tmp_path):
    found = Findings(tmp_path / "found.jsonl")
    found.put("a", {"ms": 1.5})
    with found.attempt("b"):
        raise ValueError("not finite\nmore")
    found.check("c", False, 3)
    with found.file.open("a") as file:
        file.write('["d", {"ms"')
    assert found.failed == ["b", "c"]
    assert read(found.file) == {"a": {"ms": 1.5}, "error: b": "ValueError: not finite", "c": {"ok": False, "found": 3}}


def test_small_sizes_replace_real_ones():
    setting = Setting("cpu", True, None, Path(), 0.0)
    words = setting.overrides("model=base", "resolution=256", "loss=asymmetric", "kimg=2", "clip=ViT-B32")
    assert {"model=tiny", "resolution=16", "loss=asymmetric", "kimg=2", "device=cpu"} <= set(words)
    assert not {"model=base", "resolution=256", "clip=ViT-B32"} & set(words)


@pytest.mark.parametrize(
    ("overrides", "numbers"),
    [((), (*WARM_UP, 20, 32, 33)), *((overrides, NUMBERS) for overrides in ((), *STRUCTURES.values()))],
)
def test_each_kind_of_step_is_recorded_and_repeated(overrides, numbers):
    config = make_config(*overrides)
    kinds = kinds_ahead(config, SimpleNamespace(step=0))
    repeats = Counter()

    def capture(function):
        captured.append(kind)
        return Captured(lambda: repeats.update([kind]) or function())

    captured, batch = [], SimpleNamespace(copied=lambda: batch, take=lambda _: None)
    outputs = StepOutputs({"loss": torch.zeros(())}, Watched((), torch.ones(1)))
    graphs = StepGraphs(capture, lambda: None, must=True, upcoming=lambda: kinds)
    for number in numbers:
        kind = due_at(config, number)
        graphs.run(kind, batch, StepRandom(0, number, 1, torch.device("cpu")), lambda *_: outputs)
    assert sorted(captured) == sorted(kinds)
    assert all(repeats[kind] >= 2 for kind in kinds)  # a recording is also repeated at its own step


def test_eight_minutes_of_quality_run_only_by_their_name():
    def names(only):
        return [part.name for stage in chosen(only) for part in stage.parts]

    assert names("") == [part.name for stage in STAGES for part in stage.parts]
    assert names("control") == ["prepare", "control"]


def test_without_mps_no_variable_is_set(monkeypatch):
    monkeypatch.setattr(mps, "CONTROL", "no-such-program")
    with mps.service() as variables:
        assert variables == {}


@pytest.mark.parametrize(
    ("client", "works"), [("import os; os.environ['CUDA_MPS_PIPE_DIRECTORY']", True), ("!", False)]
)
def test_mps_is_used_if_a_first_client_can_use_it(monkeypatch, tmp_path, client, works):
    """A program stands for the daemon's control; it logs its options and what it is told."""
    control, log = tmp_path / "control", tmp_path / "log"
    control.write_text(f'#!/bin/sh\necho "$@" >> {log}\n[ "$1" = -d ] || cat >> {log}\n')
    control.chmod(0o755)
    monkeypatch.setattr(mps, "CONTROL", str(control))
    monkeypatch.setattr(mps, "CLIENT", client)
    with mps.service() as variables:
        assert sorted(variables) == (["CUDA_MPS_LOG_DIRECTORY", "CUDA_MPS_PIPE_DIRECTORY"] if works else [])
        assert all(Path(place).is_dir() for place in variables.values())
        assert log.read_text() == "-d\n"
    assert log.read_text() == "-d\n\nquit\n"


def test_kinds_of_steps_make_a_cycle():
    assert sum(SHARES.values()) == CYCLE
    times = {"regularised": [0.040], "path length": [0.016], "plain": [0.008]}
    assert mean_step(times) == [pytest.approx((0.040 + 3 * 0.016 + 12 * 0.008) / 16)]
    assert parts_of(times) == pytest.approx({"main": 8.0, "path length": 8.0, "R1": 24.0})


def way(ms: float, batch: int) -> dict[str, Any]:
    return {
        "ms": ms, "s/kimg": ms / batch, "precision": "bf16", "warm_up": {"peak_gib": 1.25, "captured_seconds": 0.75},
        "parts_ms": {"main": ms, "R1": 2.0, "path length": 3.0},
    }  # fmt: skip


def record() -> dict[str, Any]:
    gpu = {"name": "NVIDIA X", "memory_gib": 80, "torch": "2.11.0", "cuda": "13.0"}
    parts: dict[str, Any] = {
        "step32": {
            "bf16, batch 16": {"eager": way(80, 16), "graphs": way(8, 16), "ratio": 10.0}, "tf32, batch 16": "left out"
        },
        "lafite": {"graphs": way(640, 64), "eager": "left out: no time"},
        "snapshot": {"30,000 images, 256 pixels": {
            "images": 3000, "seconds": 4.0, "scaled to": 30000, "scaled seconds": 40.0}},
        "equality": {"40 steps": {"ok": False, "found": {}}},
        "quality0": {"seed 0": {"name": "fid2k_clip_tiny64", "fid": 0.08}},
        "quality1": {"seed 1": {"name": "fid2k_clip_tiny64", "fid": 0.10}},
        "quality2": {"seed 2": {"name": "fid2k_clip_tiny64", "fid": 0.09}},
    }  # fmt: skip
    return {
        "machine": {"cores": 16, "cpu": "Xeon", "when": "2026-11-26 22:00"},
        "parts": {
            name: {"status": "done" if name != "lafite" else "late", "found": found, "gpu": gpu, "commit": "abc1234"}
            for name, found in parts.items()
        },
    }


def test_tables_replace_only_what_stands_between_their_markers(tmp_path):
    page = tmp_path / "gpu.md"
    page.write_text("before\n\n<!-- steps: by make -->\nold\n<!-- end -->\n\nafter <!-- a note -->\n")
    tables.write(record(), page)
    text = page.read_text()
    assert text.startswith("before\n\n<!-- steps: by make -->\n| network")
    assert text.endswith("|\n<!-- end -->\n\nafter <!-- a note -->\n")
    assert "| default (`tiny`), 32, 16 | bf16 | 80.0 | 8.00 | 10.0 | 0.50 | 1.25 / 1.25 | 0.75 |" in text
    assert "| `lafite`, 256, 64, ViT-B32 | bf16 |  | 640 |  | 10.0 | 1.25 | 0.75 |" in text
    assert "old" not in text
    tables.write(record(), page)
    assert page.read_text() == text


def test_tables_say_what_was_not_measured_and_what_failed(tmp_path):
    page = tmp_path / "gpu.md"
    names = ("machine", *tables.TABLES)
    page.write_text("".join(f"<!-- {name}: by make -->\n<!-- end -->\n" for name in names))
    tables.write(record(), page)
    blocks = dict(zip(names, page.read_text().split("<!-- end -->\n"), strict=False))
    assert "NVIDIA X (80 GiB), 16 cores of Xeon, PyTorch 2.11.0, CUDA 13.0, " in blocks["machine"]
    assert "2026-11-26 22:00, commit abc1234." in blocks["machine"]
    assert "Failed or ended by its limit: lafite (late)." in blocks["machine"]
    assert blocks["large"].endswith("Not measured.\n")
    page.write_text(page.read_text().replace("Not measured.", "measured before"))
    tables.write(record(), page)
    assert "<!-- large: by make -->\nmeasured before\n<!-- end -->" in page.read_text()
    assert "\nMeasured earlier: launches, notes, large, " in page.read_text()
    assert "30,000 images, 256 pixels, Inception, scaled from 3,000 | 40.0 |" in blocks["snapshots"]
    assert "| **no** |" in blocks["correctness"]
    assert "0.090 ± 0.025" in blocks["quality"].replace("0.09 ", "0.090 ")  # 4.303 x 0.01 / sqrt(3)


def test_trials_that_share_a_gpu_are_timed_from_the_first_start_to_the_last_end(tmp_path):
    storage, noon = f"sqlite:///{tmp_path}/study.db", datetime(2026, 11, 28, 12)
    study = optuna.create_study(storage=storage, study_name="three")
    for start, end in ((0, 20), (1, 30), (31, 45)):
        trial = optuna.trial.create_trial(value=1.0)
        trial.datetime_start, trial.datetime_complete = (noon + timedelta(seconds=second) for second in (start, end))
        study.add_trial(trial)
    assert seconds_of_trials(storage) == 45
    found = {"mps": True, "1": 60.0, "3": 40.0, "1, trials": 45.0, "3, trials": 20.0}
    rows = tables.commands({"sharing": {"three trials": found | {"commands' ratio": 1.5, "throughput": 2.25}}})
    assert "| side by side with MPS: command | 40.0 (1.50 x) |" in rows
    assert "| side by side with MPS: trials alone | 20.0 (2.25 x) |" in rows
    assert tables.commands({"sharing": {"three trials": {"mps": True, "1": 60.0}}}) == []


def test_the_page_has_a_place_for_every_table():
    names = [match["name"] for match in tables.BLOCK.finditer((ROOT / tables.PAGE).read_text())]
    assert sorted(names) == sorted(("machine", *tables.TABLES))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_parts_and_keeps_what_they_have_found(tmp_path, number):
    program = (
        "import signal, sys, json; from pathlib import Path\n"
        "from bench.gpu.scheduling import run_stages; from bench.gpu.parts import Part, Stage\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        f"part = [sys.executable, '-c', {WAITS + SAYS + 'time.sleep(60)'!r}]\n"
        "keep = lambda name, found: print(json.dumps(found), flush=True)\n"
        f"run_stages([Stage(1, (Part('a', '', ''),))], 60, lambda part_: part, Path({str(tmp_path)!r}), keep)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    )
    while not read(tmp_path / "a.jsonl"):
        time.sleep(0.05)
    process.send_signal(number)
    said, _ = process.communicate(timeout=30)
    assert process.returncode != 0
    assert '"status": "late"' in said
    assert '"limit"' in said
