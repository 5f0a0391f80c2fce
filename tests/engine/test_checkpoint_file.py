"""Checkpoints survive faults of disks and processes: a damaged checkpoint is reported, and the one before is used."""

import errno
import functools
import random
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from clipgan.base.errors import UserError
from clipgan.base.text import why_unreadable
from clipgan.config import MEASURES, Config, plain
from clipgan.config.command_line import register_resolvers
from clipgan.config.identity import CHECKED_BY_CONTENT
from clipgan.config.meanings import meanings
from clipgan.engine import run_checkpoints, same_run
from clipgan.engine.checkpoint_file import checkpoint_path, load_checkpoint, save_checkpoint
from clipgan.tasks.train import train
from sweeps.study.identity import identity_of
from tests import warm
from tests.disks import resize, small_disk
from tests.helpers import ROOT, make_config
from tests.tiny import tiny

CPU = torch.device("cpu")
FOREIGN = "it is no file of PyTorch, or one of an old version"


def content(size: int = 1000, step: int = 100, **parts):
    """What is taken for a checkpoint, of some size."""
    networks = {name: torch.arange(size) for name in ("generator", "discriminator", "generator_ema")}
    config = {"model": {}, "clip": {}, "resolution": 16}
    return {"state": {**networks, "step": step}, "history": [(1, 2.0)], "train_seconds": 0.0, "config": config, **parts}


@pytest.mark.parametrize("place", [0.01, 0.2, 0.5, 0.9, 1.0])
def test_an_altered_byte_is_noticed(tmp_path, place):
    path = tmp_path / "checkpoint-000001.pt"
    save_checkpoint(path, content())
    data = bytearray(path.read_bytes())
    data[round(place * (len(data) - 1))] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"checkpoint .*000001\.pt is damaged: .* \(SHA-256\)"):
        load_checkpoint(path, CPU)


@pytest.mark.parametrize("place", [0, -71])
def test_an_altered_mark_is_noticed(tmp_path, place):
    path = tmp_path / "checkpoint-000001.pt"
    save_checkpoint(path, content())
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="is damaged"):
        load_checkpoint(path, CPU)


@pytest.mark.parametrize("kept", [0, 10, 500, -1, -80])
def test_a_cut_file_is_noticed(tmp_path, kept):
    path = tmp_path / "checkpoint-000001.pt"
    save_checkpoint(path, content())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match="is damaged" if kept else "cannot be loaded"):
        load_checkpoint(path, CPU)


def test_a_text_is_no_checkpoint(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_text("a red circle\na blue star\n")
    with pytest.raises(UserError, match=r"captions\.txt cannot be loaded: it is no file of PyTorch"):
        load_checkpoint(path, CPU)


@pytest.mark.parametrize("kind", ["legacy", "zeros", "text"])
def test_a_file_without_a_checksum_that_is_no_archive_is_not_resumed(tmp_path, kind):
    path = tmp_path / "c.pt"
    save_checkpoint(path, content())
    if kind == "legacy":
        torch.save(torch.load(path), path, _use_new_zipfile_serialization=False)
    else:
        path.write_bytes(bytes(10000) if kind == "zeros" else b"a red circle\na blue star\n")
    with pytest.raises(UserError, match=r"c\.pt is damaged, or no checkpoint: it has no checksum at its end$"):
        load_checkpoint(path, CPU, checksum=True)


def test_a_run_that_cannot_resume_is_refused_before_it_is_prepared(cache_dir, tmp_path):
    path = tmp_path / "notes.pt"
    path.write_text("a red circle\na blue star\n")
    config = make_config(*tiny(cache_dir, f"resume={path}"))
    with pytest.raises(UserError, match=r"notes\.pt is damaged, or no checkpoint"):
        run_checkpoints.check_resumption(config)
    run_checkpoints.check_resumption(replace(config, resume="auto"))
    with pytest.raises(UserError, match=r"resume=\S+ is a folder; give a checkpoint file, auto or none"):
        run_checkpoints.check_resumption(replace(config, resume=str(tmp_path)))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (EOFError(), "it is empty, or its end is missing"),
        (RuntimeError("PytorchStreamReader failed reading zip archive"), "it is damaged, or its end is missing"),
        (RuntimeError("mmap can only be used with `_use_new_zipfile_serialization=True`"), FOREIGN),
        (RuntimeError("Cannot use ``weights_only=True`` with files saved in the legacy .tar format"), FOREIGN),
        (KeyError("a"), FOREIGN),
        (ValueError("another reason\nmore"), "another reason"),
    ],
)  # fmt: skip
def test_why_a_file_is_unreadable(error, reason):
    assert why_unreadable(error) == reason


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
        run_checkpoints.find(str(path), tmp_path, CPU)
    assert run_checkpoints.find("auto", tmp_path, CPU)[0] == before
    assert "000002.pt is damaged" in capsys.readouterr().out


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path):
    with small_disk(tmp_path / "disk", kib=200) as disk:
        path = disk / "checkpoint-000001.pt"
        save_checkpoint(path, content())
        with pytest.raises(OSError, match="No space left") as raised:
            save_checkpoint(path, content(size=10**5))
        assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(path))
        assert [entry.name for entry in disk.iterdir()] == [path.name]
        assert load_checkpoint(path, CPU)["state"]["generator"].shape == (1000,)


def save_without_end(path: Path) -> None:
    while True:
        save_checkpoint(path, content(size=10**6))


@pytest.mark.slow
def test_a_kill_during_the_write_leaves_a_good_checkpoint(tmp_path):
    generator, path, partial, kills = random.Random(0), tmp_path / "checkpoint-000001.pt", 0, 0
    while kills < 3 or (partial == 0 and kills < 50):
        before = path.exists() and path.stat().st_mtime_ns
        process = warm.call(save_without_end, path)
        while not path.exists() or path.stat().st_mtime_ns == before:  # a busy machine may take long to begin
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(generator.uniform(0.0, 0.3))
        process.kill()
        process.wait()
        kills += 1
        partial += any(tmp_path.glob(f"{path.name}.*.partial"))
        assert load_checkpoint(path, CPU)["state"]["generator"].shape == (10**6,)
    assert partial > 0  # a kill came while a file was being written


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
        run_checkpoints.find("auto", tmp_path, CPU)
    assert run_checkpoints.find("none", tmp_path, CPU) is None


def test_other_names_are_a_users_own_files(tmp_path):
    """They are neither resumed nor deleted; seven digits come after six."""
    own = [tmp_path / name for name in ("checkpoint-best.pt", "checkpoint-000009-copy.pt", "checkpoint-3.pt")]
    for path in own:
        path.write_bytes(b"a user's")
    assert not run_checkpoints.exists("auto", tmp_path)
    save_checkpoint(tmp_path / "latest.pt", content())
    for kimg in (1, 999999, 1000000):
        save_checkpoint(checkpoint_path(tmp_path, kimg), content(history=[(kimg, 2.0)]))
    assert run_checkpoints.find("auto", tmp_path, CPU)[0].name == "checkpoint-1000000.pt"
    run_checkpoints.keep_only(tmp_path, [(1, 2.0), (999999, 2.0), (1000000, 2.0)], 1, 0)
    assert sorted(tmp_path.glob("checkpoint-*")) == sorted([*own, checkpoint_path(tmp_path, 1000000)])


def test_a_latest_older_than_a_snapshot_is_not_resumed(tmp_path):
    save_checkpoint(tmp_path / "latest.pt", content(step=190, history=[(0, 3.0), (1, 2.0)]))
    save_checkpoint(checkpoint_path(tmp_path, 1), content())
    assert run_checkpoints.find("auto", tmp_path, CPU)[0].name == "latest.pt"
    save_checkpoint(checkpoint_path(tmp_path, 2), content(step=200))
    assert run_checkpoints.find("auto", tmp_path, CPU)[0].name == "checkpoint-000002.pt"


def test_a_latest_is_resumed_if_the_later_snapshot_is_damaged(tmp_path, capsys):
    save_checkpoint(tmp_path / "latest.pt", content(step=190))
    for kimg in (1, 2):
        save_checkpoint(checkpoint_path(tmp_path, kimg), content(step=100 * kimg))
    damaged = checkpoint_path(tmp_path, 2)
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    path, found = run_checkpoints.find("auto", tmp_path, CPU)
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
    run_checkpoints.set_aside(run_dir, start and run_checkpoints.find(str(tmp_path / start), run_dir, CPU))
    assert names(run_dir) == stay
    every = ["000000", "000001", "000002", "latest"]
    assert names(aside) == [name for name in every if name not in stay]
    grids = [path.name for path in sorted(run_dir.glob("samples-*"))]
    assert grids == [f"samples-{name}.png" for name in stay if name != "latest"]
    said = capsys.readouterr().out.replace("\n", "")
    assert ("leaves another branch" in said) == (stay != every)
    assert run_checkpoints.exists("auto", run_dir) == bool(stay)


def test_checkpoints_set_aside_earlier_stay(tmp_path):
    for _ in range(2):
        branch(tmp_path)
        run_checkpoints.set_aside(tmp_path, None)
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
    run_checkpoints.keep_only(tmp_path, history, last, best)
    assert [int(path.stem[-6:]) for path in sorted(tmp_path.glob("*.pt"))] == kept


def test_retention_is_checked():
    for override, words in (("keep_last=0", "keep_last=0 .* >= 1"), ("keep_best=-1", "keep_best=-1 .* >= 0")):
        with pytest.raises(UserError, match=words):
            make_config(override)
    assert make_config("keep_last=null").keep_last is None


@functools.cache
def composed(*overrides: str):
    """A training's settings, and Hydra's node of the same."""
    config = make_config(*overrides)
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return config, compose("config", overrides=list(overrides), return_hydra_config=True)


@pytest.mark.parametrize("override", ["metrics.batch=7", "metrics.r_precision=end",
                                      *(f"metrics.{measure}=snapshot" for measure in MEASURES)])  # fmt: skip
def test_the_schedule_of_measures_changes_neither_run_nor_study(override):
    given = [override, "metrics.extractor=inception"] if "inception_score" in override else [override]
    (before, first), (now, second) = composed(*given[1:]), composed(*given)
    same_run.refuse_other_run(Path("c.pt"), plain(before), now, same_files=True)
    ignored = list(first.hydra.sweeper.not_identity)
    assert identity_of(first, [], ignored) == identity_of(second, [], ignored)


def test_a_key_that_changes_the_metric_makes_another_run():
    now = make_config("metrics.n_images=1000")
    with pytest.raises(UserError, match=r"of another run: metrics\.n_images=2000 there, 1000 here"):
        same_run.refuse_other_run(Path("c.pt"), plain(make_config()), now, same_files=True)


def test_every_difference_is_named_so_that_one_command_can_mend_them_all():
    keys = [f"model.{name}" for name in ("g_lr", "d_lr", "r1_gamma", "text_dim", "style_mixing")]
    now = make_config(*(f"{key}={1 if key == 'model.text_dim' else 0.125}" for key in keys))
    with pytest.raises(UserError) as refused:
        same_run.refuse_other_run(Path("c.pt"), plain(make_config()), now, same_files=True)
    assert all(f"{key}=" in str(refused.value) for key in keys)
    many = {f"k{number:02}": 0 for number in range(25)}
    with pytest.raises(UserError, match=r"k19=1 there, 0 here and 5 more; resume=none"):
        same_run.refuse_differences(Path("c.pt"), dict.fromkeys(many, 1), many)


def test_the_number_of_processes_makes_another_run_where_each_contrasts_alone():
    batch = ["model=lafite", "clip=ViT-B32", "batch=64"]
    there, here = (make_config(*batch, f"processes={number}") for number in (4, 2))
    same_run.refuse_other_run(Path("c.pt"), plain(there), here, same_files=True)
    for key in ("contrast", "text_logit"):
        there, here = (make_config(*batch, f"model.lafite.{key}=process", f"processes={number}") for number in (4, 2))
        with pytest.raises(UserError, match="of another run: processes=4 there, 2 here"):
            same_run.refuse_other_run(Path("c.pt"), plain(there), here, same_files=True)


def test_every_file_of_weights_may_lie_elsewhere():
    """Sources hold its digest, so its path is not compared."""
    keys = [key for key in meanings(Config) if key.endswith(".checkpoint")]
    assert set(keys) | {"metrics.inception_weights"} <= set(CHECKED_BY_CONTENT)


def test_files_are_compared_by_content_where_the_checkpoint_has_it():
    there, here = (make_config("data=folder", f"data.path={path}", "clip=ViT-B32", f"clip.checkpoint={path}/b.pt")
                   for path in ("/old", "/new/"))  # fmt: skip
    same_run.refuse_other_run(Path("c.pt"), plain(there), here, same_files=False)
    with pytest.raises(UserError, match=r"of another run: clip\.checkpoint=/old/b\.pt there, /new//b\.pt here; data"):
        same_run.refuse_other_run(Path("c.pt"), plain(there), here, same_files=True)
    old = {"data.fingerprint": "f", "clip.key": "k"}  # of a checkpoint without the content
    refuse = functools.partial(same_run.refuse_other_sources, Path("c.pt"), data="data.path=/new")
    refuse(old, {**old, "data.content": "c"})
    stored = {**old, "data.content": "c"}
    refuse(stored, {**stored, "data.fingerprint": "touched"})
    with pytest.raises(UserError, match=r"of another run: clip\.key=k there, l here"):
        refuse(stored, {**stored, "clip.key": "l"})
    with pytest.raises(UserError, match=r"c\.pt: images or captions of data\.path=/new have changed") as refused:
        refuse(stored, {**stored, "data.content": "d", "clip.key": "l"})
    assert "key" not in str(refused.value)  # the encoder was trained on the data
    with pytest.raises(UserError, match=r"of another run: data\.fingerprint=f there, g here"):
        refuse(old, {**stored, "data.fingerprint": "g"})


def test_keys_missing_in_an_earlier_version_have_their_defaults():
    earlier = plain(make_config())
    del earlier["augment"], earlier["model"]["multi_scale"], earlier["model"]["channel_multiplier"]
    same_run.refuse_other_run(Path("c.pt"), earlier, make_config(), same_files=True)
    with pytest.raises(UserError, match=r"of another run: augment\.interval=None there, 4 here"):
        same_run.refuse_other_run(Path("c.pt"), earlier, make_config("augment=ada"), same_files=True)


@pytest.mark.slow
def test_a_checkpoint_of_another_version_is_one_message(cache_dir, tmp_path):
    config = make_config(*tiny(cache_dir, "kimg=1", "mlflow.tracking_uri=null"))
    train(config, tmp_path)
    whole = load_checkpoint(checkpoint_path(tmp_path, 1), CPU)
    other = {name: value for name, value in whole["state"]["discriminator"].items() if "from_rgb" not in name}
    for state, words in (
        ({key: value for key, value in whole["state"].items() if key != "scaler"}, "'scaler'"),
        ({**whole["state"], "discriminator": other}, "Discriminator"),
    ):
        save_checkpoint(tmp_path / "latest.pt", {**whole, "state": {**state, "step": 1000}})
        message = rf"latest\.pt is of another version: .*{words}.*; resume=none starts over"
        with pytest.raises(UserError, match=message):
            train(config, tmp_path)


@pytest.mark.slow
def test_a_full_disk_ends_a_run_with_one_message_and_the_run_resumes(cache_dir, tmp_path):
    """The disk has room for one checkpoint and half of another; then it has more."""
    with small_disk(tmp_path / "disk", kib=2000) as disk:
        command = [sys.executable, str(ROOT / "train.py"), *tiny(cache_dir, "kimg=1"),
                   "mlflow.tracking_uri=null", f"hydra.run.dir={disk}/run"]  # fmt: skip
        full = warm.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
        assert full.returncode == 1
        assert "checkpoint-000001.pt cannot be written (No space left on device)" in full.stderr
        assert "Traceback" not in full.stderr
        assert load_checkpoint(disk / "run" / "checkpoint-000000.pt", CPU)["state"]["step"] == 0
        resize(disk, 20000)
        again = warm.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
        assert again.returncode == 0, again.stderr
        assert "resumed at 0 kimg" in again.stdout
