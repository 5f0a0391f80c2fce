"""Which checkpoint of a run directory a run resumes from, which stay, and which are set aside."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clipgan.base.errors import UserError
from clipgan.engine import checkpoint_folder
from clipgan.engine.checkpoint_file import checkpoint_path, load_checkpoint, save_checkpoint
from clipgan.tasks.train import train
from tests.engine.checkpoints import content
from tests.helpers import make_config
from tests.tiny import tiny

CPU = torch.device("cpu")


def test_a_run_that_cannot_resume_is_refused_before_it_is_prepared(cache_dir, tmp_path):
    path = tmp_path / "notes.pt"
    path.write_text("a red circle\na blue star\n")
    config = make_config(*tiny(cache_dir, f"resume={path}"))
    with pytest.raises(UserError, match=r"notes\.pt is damaged, or no checkpoint"):
        checkpoint_folder.check_resumption(config)
    checkpoint_folder.check_resumption(replace(config, resume="auto"))
    with pytest.raises(UserError, match=r"resume=\S+ is a folder; give a checkpoint file, auto or none"):
        checkpoint_folder.check_resumption(replace(config, resume=str(tmp_path)))


def test_a_file_without_a_checksum_gives_weights_but_is_not_resumed(tmp_path, capsys):
    before, path = checkpoint_path(tmp_path, 1), checkpoint_path(tmp_path, 2)
    for file in (before, path):
        save_checkpoint(file, content())
    data = bytearray(path.read_bytes()[:-71])  # the checksum is gone, and so is the proof of what follows
    place = data.index((500).to_bytes(8, "little"))
    data[place] ^= 1
    path.write_bytes(data)
    assert load_checkpoint(path, CPU)["state"]["generator"][500] == 501
    with pytest.raises(UserError, match=r"000002\.pt is damaged.*it has no checksum.*init=.*starts from its weights"):
        checkpoint_folder.find(str(path), tmp_path, CPU)
    assert checkpoint_folder.find("auto", tmp_path, CPU)[0] == before
    assert "000002.pt is damaged" in capsys.readouterr().out


@pytest.mark.slow
def test_a_damaged_checkpoint_is_reported_and_the_one_before_is_used(cache_dir, tmp_path, capsys):
    config = make_config(*tiny(cache_dir, "mlflow.tracking_uri=null"))
    train(config, tmp_path)
    last = tmp_path / "checkpoint-000002.pt"
    before = load_checkpoint(last, CPU)["state"]
    last.write_bytes(last.read_bytes()[:-1000])
    capsys.readouterr()
    train(config, tmp_path)
    out = capsys.readouterr().out
    assert f"checkpoint {last} is damaged" in out
    assert f"resuming from {tmp_path / 'checkpoint-000001.pt'} instead" in out
    after = load_checkpoint(last, CPU)["state"]
    for name, tensor in before["generator_ema"].items():
        torch.testing.assert_close(after["generator_ema"][name], tensor, rtol=0, atol=0)


def test_without_a_good_checkpoint_auto_refuses_and_none_starts_over(tmp_path):
    checkpoint_path(tmp_path, 1).write_bytes(b"none")
    with pytest.raises(UserError, match=r"no checkpoint in .* can be used: .*000001.*resume=none starts over"):
        checkpoint_folder.find("auto", tmp_path, CPU)
    assert checkpoint_folder.find("none", tmp_path, CPU) is None


def test_other_names_are_a_users_own_files(tmp_path):
    """They are neither resumed nor deleted; seven digits come after six."""
    own = [tmp_path / name for name in ("checkpoint-best.pt", "checkpoint-000009-copy.pt", "checkpoint-3.pt")]
    for path in own:
        path.write_bytes(b"a user's")
    assert not checkpoint_folder.exists("auto", tmp_path)
    save_checkpoint(tmp_path / "latest.pt", content())
    for kimg in (1, 999999, 1000000):
        save_checkpoint(checkpoint_path(tmp_path, kimg), content(history=[(kimg, 2.0)]))
    assert checkpoint_folder.find("auto", tmp_path, CPU)[0].name == "checkpoint-1000000.pt"
    checkpoint_folder.keep_only(tmp_path, [(1, 2.0), (999999, 2.0), (1000000, 2.0)], 1, 0)
    assert sorted(tmp_path.glob("checkpoint-*")) == sorted([*own, checkpoint_path(tmp_path, 1000000)])


def test_a_latest_older_than_a_snapshot_is_not_resumed(tmp_path):
    save_checkpoint(tmp_path / "latest.pt", content(step=190, history=[(0, 3.0), (1, 2.0)]))
    save_checkpoint(checkpoint_path(tmp_path, 1), content())
    assert checkpoint_folder.find("auto", tmp_path, CPU)[0].name == "latest.pt"
    save_checkpoint(checkpoint_path(tmp_path, 2), content(step=200))
    assert checkpoint_folder.find("auto", tmp_path, CPU)[0].name == "checkpoint-000002.pt"


def test_a_latest_is_resumed_if_the_later_snapshot_is_damaged(tmp_path, capsys):
    save_checkpoint(tmp_path / "latest.pt", content(step=190))
    for kimg in (1, 2):
        save_checkpoint(checkpoint_path(tmp_path, kimg), content(step=100 * kimg))
    damaged = checkpoint_path(tmp_path, 2)
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    path, found = checkpoint_folder.find("auto", tmp_path, CPU)
    assert (path.name, found["state"]["step"]) == ("latest.pt", 190)
    assert found["state"]["generator"].device == CPU
    assert capsys.readouterr().out.count("is damaged") == 1


def branch(run_dir: Path) -> None:
    """A run of three snapshots and 50 steps."""
    run_dir.mkdir(exist_ok=True)
    history = [(kimg, 9.0 - kimg) for kimg in range(3)]
    for kimg, _ in history:
        save_checkpoint(checkpoint_path(run_dir, kimg), content(step=100 * kimg, history=history[: kimg + 1]))
        (run_dir / f"samples-{kimg:06d}.png").touch()
    save_checkpoint(run_dir / "latest.pt", content(step=250, history=history))


def names(folder: Path) -> list[str]:
    return sorted(path.name.removeprefix("checkpoint-").removesuffix(".pt") for path in folder.glob("*.pt"))


@pytest.mark.parametrize(
    ("start", "stay"),
    [
        (None, []),
        ("run/checkpoint-000000.pt", ["000000"]),
        ("run/checkpoint-000001.pt", ["000000", "000001"]),
        ("run/latest.pt", ["000000", "000001", "000002", "latest"]),
        ("other/checkpoint-000001.pt", []),
    ],
)
def test_an_abandoned_branch_is_never_resumed(tmp_path, capsys, start, stay):
    for name in ("run", "other"):
        branch(tmp_path / name)
    run_dir, aside = tmp_path / "run", tmp_path / "run" / "abandoned"
    checkpoint_folder.set_aside(run_dir, start and checkpoint_folder.find(str(tmp_path / start), run_dir, CPU))
    assert names(run_dir) == stay
    every = ["000000", "000001", "000002", "latest"]
    assert names(aside) == [name for name in every if name not in stay]
    grids = [path.name for path in sorted(run_dir.glob("samples-*"))]
    assert grids == [f"samples-{name}.png" for name in stay if name != "latest"]
    said = capsys.readouterr().out.replace("\n", "")
    assert ("leaves another branch" in said) == (stay != every)
    assert checkpoint_folder.exists("auto", run_dir) == bool(stay)


def test_checkpoints_set_aside_earlier_stay(tmp_path):
    for _ in range(2):
        branch(tmp_path)
        checkpoint_folder.set_aside(tmp_path, None)
    assert len(names(tmp_path / "abandoned")) == len(names(tmp_path / "abandoned-2")) == 4


@pytest.mark.parametrize(
    ("last", "best", "kept"),
    [
        (1, 0, [5]),
        (1, 1, [2, 5]),
        (2, 1, [2, 4, 5]),
        (2, 3, [2, 3, 4, 5]),
        (9, 0, [0, 1, 2, 3, 4, 5]),
        (None, 0, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_which_checkpoints_stay(tmp_path, last, best, kept):
    history = list(enumerate([9.0, 8.0, 1.0, 3.0, 2.0, 7.0]))
    for kimg, _ in history:
        checkpoint_path(tmp_path, kimg).touch()
    checkpoint_folder.keep_only(tmp_path, history, last, best)
    assert [int(path.stem[-6:]) for path in sorted(tmp_path.glob("*.pt"))] == kept


def test_retention_is_checked():
    for override, words in (("keep_last=0", "keep_last=0 .* >= 1"), ("keep_best=-1", "keep_best=-1 .* >= 0")):
        with pytest.raises(UserError, match=words):
            make_config(override)
    assert make_config("keep_last=null").keep_last is None
