"""The commands that a sweep's end and its report show."""

from pathlib import Path

import pytest

from sweeps.command.next_steps import best_checkpoint, next_steps, report_command
from sweeps.points.ranking import Goal, Ranking
from sweeps.points.trial_record import TrialRecord

NOTE = {"sweep": "python train.py -m h=1,2", "best": "use ckpt={checkpoint}"}


def test_the_best_checkpoint_is_not_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b").mkdir()
    for step in (4, 6, 7):  # nothing was measured at 7; the file of 2, the best step, is gone
        (tmp_path / "a b" / f"checkpoint-{step:06d}.pt").touch()
    steps = {2: 1.0, 4: 2.0, 6: 3.0}
    records = [
        TrialRecord(0, "COMPLETE", {"h": 1.0}, 9.0, values=(9.0,)),
        TrialRecord(1, "COMPLETE", {"h": 2.0}, 3.0, steps, values=(3.0,), run_dir=str(tmp_path / "a b")),
    ]
    ranking = Ranking(records, Goal(step_name="kimg"))
    assert best_checkpoint(ranking) == (records[1], 4, tmp_path / "a b" / "checkpoint-000004.pt")
    assert next_steps(ranking, NOTE) == [
        ("to use the best checkpoint, of trial 1 at kimg 4", "use ckpt='a b/checkpoint-000004.pt'"),
        ("to learn whether another seed changes the order", "python train.py -m h=1,2 hydra.sweeper.replicas=3"),
    ]
    assert len(next_steps(ranking, {**NOTE, "has_seed": False})) == 1  # replicas need a seed
    assert next_steps(ranking, None) == []
    assert next_steps(Ranking([], Goal()), NOTE) == []


def test_of_several_seeds_the_best_has_the_best_checkpoint(tmp_path: Path) -> None:
    for replica in range(3):
        (tmp_path / f"checkpoint-{replica}.pt").touch()
    records = [
        TrialRecord(r, "COMPLETE", {"h": 1.0}, v, {r: v}, replica=r, values=(v,), run_dir=str(tmp_path))
        for r, v in enumerate((5.0, 3.0, 4.0))
    ]
    assert best_checkpoint(Ranking(records, Goal())) == (records[1], 1, tmp_path / "checkpoint-1.pt")


def test_the_report_of_another_storage_shows_no_password() -> None:
    assert report_command("s", "sqlite:///sweeps.db").endswith("-m sweeps.report s")
    shown = report_command("s", "postgresql://me:secret@host/db")
    assert "--storage 'postgresql://me:" in shown
    assert "secret" not in shown
