"""The name of a figure says how it was measured."""

import dataclasses

import pytest

from clipgan.base.checksums import file_digest
from clipgan.base.errors import UserError
from clipgan.metrics.metric_names import accuracy_name, caption_name, extractor_name, network_name
from tests.helpers import make_config

COCO = ("data=coco", "data.path=x", "clip=ViT-B32")
OF_INCEPTION = ("fid", "kid", "inception_score")


def name_of(measure, config, self_judged, n_real):
    """The name that the measure's own file asks for."""
    bare = measure.removesuffix("_sd")
    return extractor_name(measure, config, self_judged, n_real, bare in OF_INCEPTION, bare != "inception_score")


@pytest.mark.parametrize(
    ("overrides", "measure", "name"),
    [
        ([], "fid", "fid2k_clip_tiny64"),
        ([], "kid_sd", "kid2k_clip_tiny64_sd"),
        (["metrics.n_images=250"], "fid", "fid250_clip_tiny64"),
        (["metrics.weights=raw"], "fid", "fid2k_clip_tiny64_raw"),
        (["metrics.split=train"], "fid", "fid2k_train_clip_tiny64"),
        (["metrics.split=train", "metrics.real=all"], "fid", "fid2k_train_all_first_clip_tiny64"),
        (["metrics=fid5k"], "fid", "fid5k"),
        (["metrics=fid5k"], "precision", "precision5k_inception"),
        (["metrics=fid5k", "metrics.resize=bicubic"], "fid", "fid5k_bicubic"),
        (["metrics=fid50k_full", *COCO], "fid", "fid50k_full"),
        (["metrics=fid50k_full", *COCO], "inception_score_sd", "inception_score50k_full_sd"),
        (["metrics=fid30k_coco", *COCO], "fid", "fid30k_coco"),
        (["metrics=fid30k_coco", "metrics.n_images=1000", *COCO], "fid", "fid1k_coco"),
        (["metrics=fid30k_lafite", *COCO], "fid", "fid30k_lafite"),
        (["metrics=fid30k_lafite", "metrics.n_images=6000", *COCO], "fid", "fid6k_lafite"),
        (
            ["metrics.prompt_split=heldout", "metrics.real_split=train", "metrics.real=all"],
            "fid",
            "fid2k_heldout_train_all_first_clip_tiny64",
        ),
        (["data=emoji"], "fid", "fid2k_train_clip_tiny64"),
        (["clip@metrics.judge=ViT-L14@336"], "fid", "fid2k_clip_ViT-L14-336"),
    ],
)
def test_a_figure_is_named_after_what_was_done(overrides, measure, name):
    config = make_config(*overrides)
    assert name_of(measure, config, self_judged=False, n_real=config.metrics.n_images) == name


def test_fewer_real_images_are_named():
    config = make_config("metrics=fid5k")
    assert name_of("fid_sd", config, False, n_real=2000) == "fid5k_real2k_sd"
    assert name_of("recall", config, False, n_real=1871) == "recall5k_real1871_inception"
    assert name_of("inception_score", config, False, n_real=2000) == "inception_score5k"  # looks at none
    every = make_config("metrics=fid5k", "metrics.real=all")
    assert name_of("inception_score", every, False, n_real=2000) == "inception_score5k"
    assert name_of("fid", every, False, n_real=2000) == "fid5k_heldout_all_first"
    assert name_of("fid", make_config("metrics=fid30k_coco", *COCO), False, n_real=40504) == "fid30k_coco"


def test_a_list_of_captions_is_named_by_its_content(tmp_path):
    (tmp_path / "list.txt").write_text("a bird\na dog\n")
    config = make_config("metrics=fid5k", "metrics.real=all", f"metrics.captions={tmp_path}/list.txt")
    name = name_of("fid", config, False, n_real=40504)
    assert name == f"fid5k_list-{file_digest(tmp_path / 'list.txt')[:8]}"
    (tmp_path / "list.txt").write_text("a bird\na cat\n")
    assert name_of("fid", config, False, n_real=40504) != name


def test_networks_of_a_measures_own_are_named():
    config = make_config("metrics=fid30k_lafite", *COCO)
    assert network_name("fd", config, 82783, "_dinov2") == "fd30k_lafite_dinov2"
    assert network_name("cmmd", config, 82783, "") == "cmmd30k_lafite"
    assert extractor_name("fid", config, False, 82783, of_inception=True, mark="-1a2b3c4d") == (
        "fid30k_lafite_inception-1a2b3c4d"
    )


def test_the_oracles_accuracies_name_their_prompts():
    assert accuracy_name("colour", make_config()) == "accuracy_colour"
    config = make_config("metrics.split=train", "metrics.weights=raw")
    assert accuracy_name("colour", config) == "accuracy_colour_train_raw"
    assert accuracy_name("colour", make_config("metrics.real=all")) == "accuracy_colour"  # it looks at no real image


def test_a_judge_that_guides_is_named():
    config = make_config()
    assert name_of("fid", config, self_judged=True, n_real=2000) == "fid2k_clip_tiny64_self"
    assert caption_name("r_precision100", config, self_judged=True) == "r_precision100_clip_tiny64_self"


def test_every_field_that_changes_a_figure_changes_its_name():
    base = make_config("metrics=fid5k").metrics
    changes = {"n_images": 70, "split": "train", "real": "all", "resize": "bicubic", "weights": "raw"}
    names = set()
    for key, value in changes.items():
        config = dataclasses.replace(make_config(), metrics=dataclasses.replace(base, **{key: value}))
        names.add(name_of("fid", config, self_judged=False, n_real=config.metrics.n_images))
    assert len(names - {"fid5k"}) == len(changes)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["metrics.kid=always"], ["metrics.kid=always", "never, end, snapshot"]),
        (["metrics.captions=random"], ["metrics.real=prompted", "all with metrics.captions=random"]),
        (["metrics.resize=bicubic"], ["metrics.resize=bicubic", "extractor"]),
        (["metrics.inception_score=end"], ["metrics.inception_score=end", "never with metrics.extractor=judge"]),
        (["metrics=fid5k", "metrics.clip_score=end"], ["metrics.judge=null", "clip@metrics.judge=NAME", "clip_score"]),
    ],
)
def test_protocols_that_make_no_sense_are_refused(overrides, words):
    with pytest.raises(UserError) as caught:
        make_config(*overrides)
    for word in words:
        assert word in str(caught.value)
