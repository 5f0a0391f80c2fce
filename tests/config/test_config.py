"""The door: what it takes over, what it refuses, and what it says then."""

import shutil
from dataclasses import asdict

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException, MissingConfigException
from omegaconf import OmegaConf

from clipgan.base.errors import UserError
from clipgan.config import Config, SpaceTerms, TermConfig, flatten, from_yaml
from clipgan.config.command_line import register_resolvers
from clipgan.config.meanings import booleans
from clipgan.config.reading import point_check
from tests.helpers import ROOT, compose_node, make_config
from tests.sweep_check import check_sweep

SWEPT = (
    "adversarial",
    "augment",
    "discriminator",
    "clip",
    "loss",
    "pairs",
    "condition",
    "model",
    "resnet",
    "metrics",
    "data",
)


def options(group):
    return sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))


@pytest.mark.parametrize(("group", "option"), [(group, option) for group in SWEPT for option in options(group)])
def test_every_shipped_option_passes_the_door(group, option):
    extra = ["data.path=somewhere"] if group == "data" and option not in ("shapes", "emoji") else []
    if option == "open_clip":
        extra = ["clip.name=ViT-L-14", "clip.pretrained=openai"]
    config = make_config(f"{group}={option}", *extra)
    assert getattr(config, group).name == (option if option != "open_clip" else "ViT-L-14")


@pytest.mark.parametrize("group", [*SWEPT, "experiment", "budget", "task", "grid", "sampler", "pruner"])
def test_a_folder_of_ones_own_may_hold_an_option_of_each_group(group, tmp_path):
    option = {"clip": "tiny", "resnet": "tiny", "data": "shapes"}.get(group, options(group)[0])
    (tmp_path / group).mkdir()
    shutil.copy(ROOT / "conf" / group / f"{option}.yaml", tmp_path / group / "mine.yaml")
    place = () if group != "experiment" else ("data.path=COCO",)
    make_config(f"{group}=mine", *place, f"hydra.searchpath=[file://{tmp_path}]")
    with pytest.raises(MissingConfigException):
        make_config(f"{group}=mine", *place)


@pytest.mark.parametrize("name", options("experiment"))
def test_every_experiment_composes_and_opens_with_its_command(name):
    text = (ROOT / "conf" / "experiment" / f"{name}.yaml").read_text()
    package, command = text.splitlines()[:2]
    assert package == "# @package _global_"  # Hydra reads it in the first line only
    flag = "-m " if "override /grid" in text or "params:" in text else ""
    place = {"quick": "", "study": "", "simclr_imagenet": " data.path=IMAGENET100"}.get(name, " data.path=COCO")
    assert command == f"# python train.py {flag}experiment={name}{place}"
    *_, overrides = command.partition("experiment=")
    assert make_config(*f"experiment={overrides}".split()) != make_config()


def test_the_defaults_are_the_notes():
    config = make_config()
    assert (config.S.D, config.S.CLIP, config.S.ResNet) == (1, 2, 1)
    assert config.loss.name == "symmetric"
    assert config.loss.heterologous == config.h
    assert config.clip.train is not None
    assert config.metrics.judge.train is not None
    assert config.clip.train.seed != config.metrics.judge.train.seed  # the judge is not the guide


@pytest.mark.parametrize(
    ("overrides", "unread"),
    [
        ([], []),
        (["loss=asymmetric"], []),
        (["heterologous=source", "h=0.3"], []),
        (["loss.heterologous=2"], ["h"]),
        (["loss.heterologous=2", "+loss.generator.CLIP.it.h=${h}"], []),
        (["loss=lafite"], ["h", "C_ii", "S.ResNet", "loss.temperature.ResNet"]),
        (["loss=asymmetric", "+loss.generator.ResNet.ii={S:3,temperature:1}"], ["S.ResNet", "loss.temperature.ResNet"]),
        (["loss=lafite", *(f"+loss.{of}.it.C=1" for of in ("generator.D", "generator.CLIP", "discriminator.D"))],
         ["h", "C_it", "C_ii", "S.ResNet", "loss.temperature.ResNet"]),
    ],
)  # fmt: skip
def test_weights_that_no_term_has_are_told(overrides, unread):
    assert make_config(*overrides).unread_weights() == unread


def test_an_axis_that_no_term_has_is_refused():
    """Its points would be equal trainings; a fixed value may stand beside several structures, of which some have it."""
    check = point_check(compose_node("loss=lafite", "h=0.5"), ["loss", "h"])
    check({"C_it": 1.25})
    for axis in ("h", "C_ii", "S.ResNet", "loss.temperature.ResNet"):
        check = point_check(compose_node("loss=lafite"), ["loss"])
        check({axis: 1, "C_it": 1})  # the number that loss=lafite has in h's place
        check({axis: 1, "C_it": 2})  # as where="loss != lafite or h == 1" leaves it
        with pytest.raises(
            UserError, match=rf"^{axis}=3 changes nothing: no term of loss=lafite has it; .*loss\.name != 'lafite'"
        ):
            check({axis: 3, "C_it": 2})
    for overrides in (["loss=symmetric"], ["loss=lafite", "C_it=${h}"]):
        check = point_check(compose_node(*overrides), ["loss"])
        for value in (2, 3):
            check({"h": value})


def test_an_axis_that_only_pseudo_texts_read_is_refused_without_them():
    def check(*overrides, **further):
        tried = point_check(compose_node(*overrides))
        for value in (0.25, 0.5):
            tried({"condition.image_noise": value, **further})

    with pytest.raises(
        UserError, match=r"^condition\.image_noise=0\.5 changes nothing: condition=text has no pseudo text; .*free > 0"
    ):
        check()
    check("condition=mixed")
    check(**{"condition.language_free": 0.5})


@pytest.mark.parametrize(
    ("axis", "off", "reason"),
    [
        ("condition.neighbours", "condition=mixed", "condition.pseudo_text=noise"),
        ("model.pl_interval", "model.pl_weight=0", "model.pl_weight=0"),
        ("model.r1_interval", "model.r1_gamma=0", "no gradient penalty is on"),
    ],
)
def test_an_axis_of_what_is_off_is_refused(axis, off, reason):
    check = point_check(compose_node(off))
    check({axis: 2})
    with pytest.raises(UserError, match=rf"^{axis}=3 changes nothing: {reason}; leave it out"):
        check({axis: 3})
    check = point_check(compose_node("condition=nearest"))
    for value in (2, 3):
        check({axis: value})


@pytest.mark.parametrize("name", ["ViT-B32", "ViT-g14"])
def test_a_published_judge_is_not_trained(name):
    judge = make_config(f"clip@metrics.judge={name}").metrics.judge
    assert (judge.name, judge.train) == (name, None)
    assert judge.pretrained is not None


@pytest.mark.parametrize("protocol", options("metrics"))
def test_every_protocol_takes_a_judge(protocol):
    """The messages that ask for a judge name this key."""
    assert make_config(f"metrics={protocol}", "clip@metrics.judge=ViT-B16").metrics.judge.name == "ViT-B16"


def test_any_model_of_open_clip_may_judge():
    """`name` is the judge's own, and not the guide's."""
    judge = make_config(
        "clip@metrics.judge=open_clip", "metrics.judge.name=ViT-B-32", "metrics.judge.checkpoint=FILE"
    ).metrics.judge
    assert (judge.name, judge.model) == ("ViT-B-32", "ViT-B-32")


def test_r2_needs_no_relativistic_loss_and_follows_r1_there():
    assert make_config("adversarial.r2_gamma=1").gradient_penalties() == {"r1": 1.5, "r2": 1}
    assert make_config("adversarial=relativistic", "model.r1_gamma=3").gradient_penalties() == {"r1": 3, "r2": 3}


def test_a_projected_discriminator_comes_as_published_and_a_user_may_change_it():
    config = make_config("discriminator=projected", "model=base")
    assert (config.augment.name, config.gradient_penalties()) == ("diffaugment", {})
    config = make_config("discriminator=projected", "model=base", "augment=none", "model.r1_gamma=2")
    assert (config.augment.name, config.gradient_penalties()) == ("none", {"r1": 2})


@pytest.mark.parametrize(
    "selected", ["pairs=add_new_positive pairs.k=14", "pairs=drop_easy_negative pairs.fraction=0.96"]
)
def test_selections_may_leave_one_negative(selected):
    """Gradient caching contrasts all micro-batches with each other, and LAFITE's contrast is over all processes."""
    for more in ([], ["accumulate=4", "contrast.grad_cache=true"], ["model=lafite", "processes=4"]):
        assert make_config(*selected.split(), *more).contrasted_images() == 16


@pytest.mark.parametrize("more", [["contrast.grad_cache=true"], ["C_it=0", "C_ii=0"]])
def test_micro_batches_may_be_single_images(more):
    """Where the whole batch contrasts all the same, or nothing does."""
    assert make_config("accumulate=16", "model.mbstd_group=1", *more).accumulate == 16


def test_text_becomes_numbers():
    config = make_config("h=2", "batch=8", "C_it=2.5")
    assert (config.h, config.batch, config.C_it) == (2.0, 8, 2.5)
    assert isinstance(config.h, float)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["h=-1"], ["h=-1", ">= 0"]),
        (["h=abc"], ["h", "abc"]),
        (["h=nan"], ["h=nan", "finite"]),
        (["resolution=48"], ["resolution=48", "power of two"]),
        (["resolution=4"], ["resolution=4", "8 to 1024"]),
        (["batch=1"], ["batch=1", ">= 2"]),
        (["batch=18"], ["batch=18", "multiple of model.mbstd_group=4"]),
        (["kimg=0"], ["kimg=0"]),
        (["kimg=1.5"], ["kimg", "1.5"]),
        (["h=null"], ["h=null is not allowed: h needs a value"]),
        (["S=1"], ["S=1 is not allowed: S is a section: give S.NAME=VALUE with a NAME of D, CLIP, ResNet"]),
        (["loss.temperature=0.5"], ["loss.temperature=0.5", "give loss.temperature.NAME=VALUE"]),
        (["clip.train=3"], ["clip.train=3", "give clip.train.NAME=VALUE with a NAME of seed, steps,"]),
        (["data.x_flip=maybe"], ["data.x_flip=maybe is not allowed: data.x_flip must be true or false"]),
        (["data.x_flip=7"], ["data.x_flip=7 is not allowed: data.x_flip must be true or false"]),
        (["data.x_flip='-1'"], ["data.x_flip=-1 is not allowed"]),
        (["data.x_flip=${batch}"], ["data.x_flip=16 is not allowed"]),
        (["log=mlflow"], ["log=mlflow is not allowed: log must be a list, as in log=[mlflow]"]),
        (["log=[null]"], ["log[0]=null is not allowed: log[0] must be a text"]),
        (["log=[[a]]"], ["log=[[a]] is not allowed: log must be a plain list"]),
        (["augment=diffaugment", "augment.policy=[{a: 1}]"], ["augment.policy=[{'a': 1}]", "must be a plain list"]),
        (["metrics.r_precision=[a]"], ["metrics.r_precision=['a'] is not allowed: metrics.r_precision must be a text"]),
        (["compile=yes"], ["compile=yes is not allowed", "max-autotune, null"]),
        (["budget=seconds", "seconds=0"], ["seconds=0", "> 0"]),
        (["budget=seconds", "seconds=nan"], ["seconds=nan", "finite"]),
        (["+nonsense=1"], ["nonsense"]),
        (["+model.nonsense=1"], ["nonsense"]),
        (["features=sometimes"], ["features=sometimes", "preprocessed, online"]),
        (["heterologous=x"], ["heterologous=x", "direction, source"]),
        (["+loss.generator.CLIP.tt={}"], ["loss.generator.CLIP.tt", "tt"]),
        (["+loss.discriminator.CLIP={it: {}}"], ["loss.discriminator.CLIP", "must be D"]),
        (["+loss.generator.CLIP.it.q=1"], ["loss.generator.CLIP.it.q"]),
        (["+loss.generator.CLIP.it.h=-1"], ["loss.generator.CLIP.it.h=-1", ">= 0"]),
        (["+loss.generator.CLIP.it.temperature=x"], ["loss.generator.CLIP.it.temperature=x"]),
        (["+loss.generator.CLIP.it.temperature=0"], ["loss.generator.CLIP.it.temperature=0", ">= 0.0001"]),
        (["~loss.generator", "+loss.generator={CLIP: [it]}"], ["loss.generator.CLIP=['it']", "{it: {}"]),
        (["~loss.generator", "+loss.generator={VGG: {it: {}}}"], ["loss.generator.VGG", "D or CLIP or ResNet"]),
        (["loss.generator=3"], ["loss.generator=3", "a mapping of spaces"]),
        (["~loss.heterologous"], ["loss.heterologous"]),
        (["~loss.name"], ["loss.name"]),
        (["loss.similarity=exp_cos", "loss.temperature.CLIP=0.011"], ["loss.temperature.CLIP=0.011", "exp_cos"]),
        (["loss.similarity=exp_cos", "+loss.generator.D.it.temperature=0.01"], ["D.it.temperature=0.01", "exp_cos"]),
        (["heterologous=source", "+loss.discriminator.D.it.h=7"], ["loss.discriminator.D.it.h=7", "source"]),
        (["heterologous=source", "+loss.discriminator.D.it.heterologous=7"], ["D.it.heterologous=7", "source"]),
        (["+pairs.k=3"], ["pairs.k=3", "null for pairs=plain"]),
        (["pairs=add_new_positive", "+pairs.fraction=0.9"], ["pairs.fraction=0.9", "null"]),
        (["pairs=add_new_positive", "pairs.k=15"], ["pairs.k=15", "less than 15", "batch=16"]),
        (["pairs=weakly_supervised", "pairs.k=3", "accumulate=4"], ["pairs.k=3", "less than 3", "the 4 images"]),
        (["accumulate=16", "model.mbstd_group=1"], ["accumulate=16", "at least 2 of batch=16", "contrast.grad_cache"]),
        (["pairs=drop_easy_negative", "pairs.fraction=0.97"], ["pairs.fraction=0.97", "batch=16", "all 15"]),
        (["pairs=drop_false_negative", "pairs.fraction=0.9", "accumulate=4"], ["fraction=0.9", "4 images", "all 3"]),
        (
            ["model=lafite", "model.lafite.contrast=process", "processes=4", "pairs=add_new_positive", "pairs.k=3"],
            ["pairs.k=3", "less than 3", "the 4 images"],
        ),
        (["loss=lafite", "contrast.negatives=8"], ["contrast.negatives=8", "loss=lafite", "no homologous part"]),
        (["pairs.name=x"], ["pairs.name=x", "weakly_supervised"]),
        (["pairs=drop_easy_negative", "pairs.fraction=1"], ["pairs.fraction=1", "less than 1"]),
        (["pairs=weakly_supervised", "pairs.k=0"], ["pairs.k=0", ">= 1"]),
        (["pairs=drop_false_negative", "pairs.similarity=D"], ["pairs.similarity=D", "image, text"]),
        (["pairs=drop_false_positive", "condition=mixed"], ["pairs=drop_false_positive", "language_free"]),
        (["pairs=add_new_positive", "pairs.similarity=text", "condition=language_free"], ["pairs.similarity=text"]),
        (["condition.language_free=1.5"], ["condition.language_free=1.5", "between 0 and 1"]),
        (["condition.image_noise=-1"], ["condition.image_noise=-1", ">= 0"]),
        (["contrast.negatives=-1"], ["contrast.negatives=-1", ">= 0"]),
        (["accumulate=3"], ["accumulate=3", "batch=16", "mbstd_group=4"]),
        (["accumulate=8"], ["accumulate=8", "mbstd_group=4"]),
        (["loss.temperature.D=0"], ["loss.temperature.D=0", ">= 0.0001"]),
        (["S.CLIP=-2"], ["S.CLIP=-2"]),
        (["data=folder"], ["data.path"]),
        (["data=coco", "data.path=null"], ["data.path=null", "the place of the data for data=coco"]),
        (["data=metadata", "data.path=x", "data.caption_column="], ["data.caption_column", "the name of a column"]),
        (["clip.name='a;b'"], ["clip.name='a;b'", "letters, digits"]),
        (["clip.name="], ["clip.name=''", "1 to 100"]),
        (["metrics.judge.name=a/../b"], ["metrics.judge.name='a/../b'", "letters, digits"]),
        (["clip.train=null"], ["clip.checkpoint"]),
        (["clip.precision=half"], ["clip.precision=half", "auto, float32, mixed, bfloat16"]),
        (["resnet.precision=16"], ["resnet.precision=16", "auto, float32, mixed, bfloat16"]),
        (["clip=open_clip", "clip.pretrained=openai"], ["clip.name"]),
        (["metrics.judge=null"], ["metrics.judge"]),
        (["metrics.objective=mse"], ["metrics.objective=mse", "fid, r_precision, r_precision_hard, fjd, accuracy"]),
        (["metrics.returns=first"], ["metrics.returns=first", "last, best"]),
        (
            ["data=emoji", "metrics.objective=accuracy"],
            ["metrics.objective=accuracy", "fid, r_precision, fjd or null with", "data=emoji"],
        ),
        (["metrics=fid5k", "metrics.objective=fjd"], ["metrics.objective=fjd", "fid, accuracy or null", "judge=null"]),
        (["clip.train.hard_negatives=-1"], ["clip.train.hard_negatives=-1", ">= 0"]),
        (["model.channel_multiplier=0"], ["model.channel_multiplier=0", "> 0"]),
        (["model.mapping_multiplier=inf"], ["model.mapping_multiplier=inf", "finite"]),
        (["model=lafite", "model.multi_scale=true"], ["model.multi_scale=true", "false with LAFITE's networks"]),
        (["model=lafite", "model.spatial_seed=true"], ["model.spatial_seed=true", "false with LAFITE's networks"]),
        (["adversarial.name=wasserstein"], ["adversarial.name=wasserstein", "nonsaturating, hinge, relativistic"]),
        (["adversarial.r2_gamma=-1"], ["adversarial.r2_gamma=-1", ">= 0"]),
        (["adversarial.mismatch=-0.5"], ["adversarial.mismatch=-0.5", ">= 0"]),
        (["adversarial.mismatch=nan"], ["adversarial.mismatch=nan", "finite"]),
        (["adversarial.mismatch=1", "batch=1", "model.mbstd_group=1"], ["batch=1", ">= 2"]),
        (["adversarial=relativistic", "augment=ada"], ["augment=ada", "adversarial=relativistic"]),
        (["discriminator.name=x"], ["discriminator.name=x", "stylegan2, projected"]),
        (["discriminator.network=clip"], ["discriminator.network=clip", "null for discriminator=stylegan2"]),
        (["discriminator=projected", "discriminator.network="], ["discriminator.network=", "clip or the name"]),
        (["discriminator=projected", "discriminator.checkpoint=x"], ["discriminator.checkpoint=x", "clip.checkpoint"]),
        (["discriminator=projected", "discriminator.precision=mixed"], ["discriminator.precision=mixed", "auto"]),
        (["discriminator=projected", "discriminator.layers=[3,1]"], ["discriminator.layers=[3,1]", "rising"]),
        (["discriminator=projected", "discriminator.layers=[]"], ["discriminator.layers=[]", "rising"]),
        (["discriminator=projected", "discriminator.width=0"], ["discriminator.width=0", ">= 1"]),
        (["discriminator=projected", "model=msg"], ["model.multi_scale=true", "discriminator=projected"]),
        (["discriminator=projected", "init=x", "freeze_d=2"], ["freeze_d=2", "discriminator=projected"]),
        (["loss.temperature.learned=true", "loss.temperature.D=2"], ["loss.temperature.D=2", "between 0.01 and 1"]),
        (["loss.temperature.learned=true", "loss.similarity=exp_cos"], ["loss.similarity=exp_cos", "learned"]),
        (["loss.temperature.learned=true", "+loss.generator.D.it.temperature=0.1"], ["D.it.temperature=0.1", "null"]),
        (["augment.name=x"], ["augment.name=x", "none, diffaugment, ada"]),
        (["augment.policy=[colour]"], ["augment.policy=[colour]", "[] for augment=none"]),
        (["augment=diffaugment", "augment.policy=[blit]"], ["[blit]", "some of [colour, translation, cutout]"]),
        (["augment=diffaugment", "augment.policy=[]"], ["augment.policy=[]", "some of"]),
        (["augment=ada", "augment.policy=[blit,blit]"], ["augment.policy=[blit,blit]", "each once"]),
        (["augment=diffaugment", "augment.target=0.6"], ["augment.target=0.6", "null for augment=diffaugment"]),
        (["augment=ada", "augment.target=1"], ["augment.target=1", "between -1 and 1"]),
        (["augment=ada", "augment.interval=0"], ["augment.interval=0", ">= 1"]),
        (["augment=ada", "augment.kimg=null"], ["augment.kimg=null", "> 0"]),
    ],
)
def test_bad_values_are_quoted(overrides, words):
    with pytest.raises(UserError) as caught:
        make_config(*overrides)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(("task", "others"), [("gan", {"simclr", "epochs", "snapshot_epochs"}), ("simclr", set())])
def test_every_yaml_key_is_a_field_and_every_field_has_a_yaml_key(task, others):
    """No option that nothing reads: the composed default names every field that is no `null` subtree."""
    node = compose_node(f"task={task}")
    OmegaConf.resolve(node)
    given = set(flatten(OmegaConf.to_container(node)))
    known = set(flatten(from_yaml(node)))
    assert given - known == set()
    assert {key.split(".")[0] for key in known} - others == {key.split(".")[0] for key in given}
    assert all(from_yaml(node).__dict__[key] is None for key in others)
    if task == "simclr":
        assert {key for key in known if key.startswith("simclr")} == {key for key in given if key.startswith("simclr")}


@pytest.mark.parametrize(("option", "axes"), [("C_it", 1), ("C_ii", 1), ("h", 1), ("all", 3)])
def test_grids_hold_the_notes_values(option, axes):
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        node = compose("config", overrides=[f"grid={option}"], return_hydra_config=True)
    params = dict(node.hydra.sweeper.params)
    assert len(params) == axes
    for axis, values in params.items():
        expected = [0.1, 0.2, 0.5, 1, 2] if axis == "h" else [0.5, 1.25, 2.5, 3.75, 5]
        assert [float(value) for value in str(values).split(",")] == expected


def test_a_term_may_have_weights_of_its_own():
    config = make_config("+loss.generator.CLIP.it={h: 0.1, S: 3}", "+loss.generator.D.it.temperature=0.07")
    assert config.loss.generator["CLIP"] == SpaceTerms(it=TermConfig(S=3.0, h=0.1), ii=TermConfig())
    assert config.loss.generator["D"].it == TermConfig(temperature=0.07)


def test_a_configuration_passes_the_door_again():
    config = make_config("+loss.generator.CLIP.it.h=0.1", "pairs=drop_easy_negative")
    assert from_yaml(OmegaConf.create(asdict(config))) == config


@pytest.mark.parametrize(
    ("overrides", "direction"),
    [([], "minimize"), (["metrics.objective=fid"], "minimize"), (["metrics.objective=accuracy"], "maximize"),
     (["task=simclr"], "maximize")],
)  # fmt: skip
def test_a_sweep_knows_the_direction_of_its_objective(overrides, direction):
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        node = compose("config", overrides=overrides, return_hydra_config=True)
    assert node.hydra.sweeper.direction == direction


@pytest.mark.parametrize("value", ["last", "best"])
def test_the_objective_of_a_checkpoint_of_version_0_1_0_is_read(value):
    """There, FID was the only objective, and `objective` said which of its values counts."""
    metrics = make_config(f"metrics.objective={value}").metrics
    assert (metrics.objective, metrics.returns) == ("fid", value)


def test_a_value_that_no_yaml_holds_is_one_message():
    with pytest.raises(UserError, match="seed: Value 'object' is not a supported primitive type"):
        from_yaml({"seed": object()})


@pytest.mark.parametrize("key", booleans(Config))
def test_a_number_is_no_boolean(key):
    """0 and 1 stand for false and true, as users of Hydra write them, and so do YAML's words."""
    others = ["model=lafite"] if ".lafite." in key else []

    def read(value):
        return flatten(make_config(*others, f"++{key}={value}"))[key]

    with pytest.raises(UserError, match=rf"^{key}=2 is not allowed: {key} must be true or false$"):
        read(2)
    assert {read(value) for value in (1, "true", "yes", "on")} == {True}
    assert {read(value) for value in (0, "false", "no", "off")} == {False}


def test_a_sweeps_points_have_no_numbers_as_booleans():
    check = point_check(compose_node())
    check({"data.x_flip": 0})
    for values in ({"data.x_flip": 7}, {"data": {"x_flip": 7}}):
        with pytest.raises(UserError, match=r"^data\.x_flip=7 is not allowed: data\.x_flip must be true or false$"):
            check(values)


@pytest.mark.parametrize(
    "overrides", [["task=simclr", "h=3", "epochs=1,2"], ["task=simclr", "loss=symmetric", "epochs=1,2"]]
)
def test_a_sweep_refuses_what_each_of_its_trials_would_refuse(overrides, tmp_path):
    """Of its command, not of an axis: every trial began, and ended at once."""
    with pytest.raises(HydraException, match=r"epochs=1: \w+ is not read by task=simclr"):
        check_sweep(ROOT / "conf", overrides, tmp_path)


def test_a_place_of_data_is_not_ignored_by_drawn_shapes():
    """Without `data=coco`, pictures were compared with shapes, and not a word said so."""
    with pytest.raises(UserError, match=r"data.path=COCO is not read with data=shapes.* give data=NAME"):
        make_config("data.path=COCO")
    make_config("data.path=null")
    make_config("data=coco", "data.path=COCO")
    make_config("data=shapes", "data.path=COCO")  # as in a sweep over data=shapes,coco
