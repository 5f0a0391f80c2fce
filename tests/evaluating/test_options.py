"""The settings of clipgan.evaluate: one message for each mistake."""

from pathlib import Path

import pytest

from clipgan.base.errors import UserError
from clipgan.evaluating.options import NAMES, parse


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to measure is given"),
        (["run=a", "images=."], "run=a and images=. are given: give exactly one"),
        (["ckpt=nowhere.pt"], "ckpt=nowhere.pt does not exist"),
        (["images=nowhere"], "images=nowhere does not exist"),
        (["run=a", "captions=a.txt"], "captions=a.txt is not read without images"),
        (["run=a", "metrics=[fid,fd_dino]"], "there is no metric fd_dino; close names: fd_dinov2"),
        (["run=a", "metrics=[fid30k_coco]"], "fid30k_coco is a protocol, not a metric: give protocol=fid30k_coco"),
        (["run=a", "protocol=fid7"], "protocol=fid7 is not allowed: protocol must be one of fid2k_clip_tiny"),
        (["run=a", "snapshots=some"], "snapshots=some is not allowed"),
        (["run=a", "fid"], "'fid' is not a setting"),
        (["run="], "run= is empty"),
        (["run=a", "prompts=b", "seeds=3"], "prompts=b and seeds=3 give one picture, and metrics need at least 2"),
        (["ckpt=, "], "ckpt=,  names no file; give checkpoint files"),
    ],
)
def test_a_mistake_has_one_message(arguments, words):
    with pytest.raises(UserError) as caught:
        parse(arguments)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_many_checkpoints_are_no_long_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [f"checkpoint-{number:06d}.pt" for number in range(30)]
    for name in (*names, "a,b.pt"):
        (tmp_path / name).touch()
    assert parse([f"ckpt={','.join(names)}"]).ckpt == tuple(map(Path, names))
    assert parse(["ckpt=a,b.pt"]).ckpt == (Path("a,b.pt"),)


def test_an_unknown_metric_lists_all():
    with pytest.raises(UserError) as caught:
        parse(["run=a", "metrics=[beauty]"])
    assert all(name in str(caught.value) for name in NAMES)


def test_own_settings_and_overrides():
    options = parse(
        ["run=a", "metrics=[fid, kid,fid]", "device=cpu", "metrics.n_images=50", "prompts=a;b", "seeds=0-2"]
    )
    assert options.metrics == ("fid", "kid")
    assert options.overrides == ("device=cpu", "metrics.n_images=50")
    assert (options.prompts, options.seeds) == (("a", "b"), (0, 1, 2))
