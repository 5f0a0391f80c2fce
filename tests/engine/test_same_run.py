"""A run resumes from a checkpoint of the same settings, data and encoders, and from no other."""

import functools
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from clipgan.base.errors import UserError
from clipgan.config import MEASURES, Config, plain
from clipgan.config.command_line import register_resolvers
from clipgan.config.identity import CHECKED_BY_CONTENT
from clipgan.config.meanings import meanings
from clipgan.engine import same_run
from sweeps.study.identity import identity_of
from tests.helpers import ROOT, make_config


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
    same_run.refuse_other_run(Path("c.pt"), plain(before), now)
    ignored = list(first.hydra.sweeper.not_identity)
    assert identity_of(first, [], ignored) == identity_of(second, [], ignored)


def test_a_key_that_changes_the_metric_makes_another_run():
    now = make_config("metrics.n_images=1000")
    with pytest.raises(UserError, match=r"of another run: metrics\.n_images=2000 there, 1000 here"):
        same_run.refuse_other_run(Path("c.pt"), plain(make_config()), now)


def test_every_difference_is_named_so_that_one_command_can_mend_them_all():
    keys = [f"model.{name}" for name in ("g_lr", "d_lr", "r1_gamma", "text_dim", "style_mixing")]
    now = make_config(*(f"{key}={1 if key == 'model.text_dim' else 0.125}" for key in keys))
    with pytest.raises(UserError) as refused:
        same_run.refuse_other_run(Path("c.pt"), plain(make_config()), now)
    assert all(f"{key}=" in str(refused.value) for key in keys)
    many = {f"k{number:02}": 0 for number in range(25)}
    with pytest.raises(UserError, match=r"k19=1 there, 0 here and 5 more; resume=none"):
        same_run.refuse_differences(Path("c.pt"), dict.fromkeys(many, 1), many)


def test_the_number_of_processes_makes_another_run_where_each_contrasts_alone():
    batch = ["model=lafite", "clip=ViT-B32", "batch=64"]
    there, here = (make_config(*batch, f"processes={number}") for number in (4, 2))
    same_run.refuse_other_run(Path("c.pt"), plain(there), here)
    for key in ("contrast", "text_logit"):
        there, here = (make_config(*batch, f"model.lafite.{key}=process", f"processes={number}") for number in (4, 2))
        with pytest.raises(UserError, match="of another run: processes=4 there, 2 here"):
            same_run.refuse_other_run(Path("c.pt"), plain(there), here)


def test_every_file_of_weights_may_lie_elsewhere():
    """Sources hold its digest, so its path is not compared."""
    keys = [key for key in meanings(Config) if key.endswith(".checkpoint")]
    assert set(keys) | {"metrics.inception_weights"} <= set(CHECKED_BY_CONTENT)


def test_files_are_compared_by_content():
    there, here = (make_config("data=folder", f"data.path={path}", "clip=ViT-B32", f"clip.checkpoint={path}/b.pt")
                   for path in ("/old", "/new/"))  # fmt: skip
    same_run.refuse_other_run(Path("c.pt"), plain(there), here)
    old = {"data.fingerprint": "f", "clip.key": "k"}  # of 0.1.0, without the content
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
    same_run.refuse_other_run(Path("c.pt"), earlier, make_config())
    with pytest.raises(UserError, match=r"of another run: augment\.interval=None there, 4 here"):
        same_run.refuse_other_run(Path("c.pt"), earlier, make_config("augment=ada"))


def test_a_configuration_of_another_version_is_one_message():
    with pytest.raises(UserError, match=r"checkpoint c\.pt has a configuration that this version does not take: "):
        same_run.refuse_other_run(Path("c.pt"), {"model": 3, "clip": "x"}, make_config())
    deep: dict = {}
    for _ in range(3000):
        deep = {"a": deep}
    for odd in (torch.zeros(3), deep):
        with pytest.raises(UserError, match=r"checkpoint c\.pt has a configuration that this version does not take: "):
            same_run.refuse_other_run(Path("c.pt"), {"h": odd}, make_config())
