"""Every name of published weights in code, configuration and docs is one that the library knows."""

import re

import open_clip
import pytest
import timm
import torchvision
from omegaconf import OmegaConf

from clipgan.inputs.encoders.resnet import ARCHITECTURE
from clipgan.metrics import cmmd_clip, dinov2
from tests.helpers import ROOT

TEXTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("conf/**/*.yaml"), *ROOT.glob("clipgan/**/*.py")]
CHOICE = re.compile(r"clip\.name=([\w.-]+) clip\.pretrained=([\w.-]+)")
TIMM = re.compile(r"\bvit_\w+\.\w+")  # an architecture and its tag
STANDS_FOR_ANY = {("MODEL", "TAG"), ("NAME", "TAG")}


def options(group):
    """The options of a group that name published weights."""
    read = {path.stem: OmegaConf.load(path) for path in (ROOT / "conf" / group).glob("*.yaml")}
    return {name: option for name, option in read.items() if option.get("pretrained")}


def mentioned(pattern):
    return {found for path in TEXTS for found in pattern.findall(path.read_text())}


def test_tags_of_open_clip():
    chosen = {(option.model, option.pretrained) for option in options("clip").values()}
    assert ("ViT-g-14", "laion2b_s12b_b42k") in chosen
    in_texts = mentioned(CHOICE) - STANDS_FOR_ANY
    assert len(in_texts) >= 2
    assert {*chosen, *in_texts, (cmmd_clip.MODEL, "openai")} <= set(open_clip.list_pretrained())


def test_tags_of_timm():
    names = mentioned(TIMM) | {dinov2.REPOSITORY.removeprefix("timm/")}
    assert dinov2.REPOSITORY.startswith(f"timm/{dinov2.MODEL}.")
    assert len(names) >= 2
    assert names <= set(timm.list_pretrained())


@pytest.mark.parametrize("name", options("resnet"))
def test_weights_of_torchvision(name):
    weights = torchvision.models.get_model_weights(ARCHITECTURE)
    assert options("resnet")[name].pretrained in weights.__members__
