"""A key's meaning stands once, behind its field: conf/, --help and the pages agree with it."""

import re
from dataclasses import dataclass, field
from typing import get_type_hints

import pytest

from clipgan.config import Config, MetricsConfig
from clipgan.config.comments import rewritten, with_meanings, with_measures
from clipgan.config.meanings import _sections, defaults, listing, meanings, values_of
from clipgan.main import _sweep_keys
from sweeps.base.settings import Settings
from tests.helpers import ROOT, make_config

SPOKEN = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@dataclass
class Inner:
    """A section."""

    size: int = 3  # of it


@dataclass
class Base:
    """Fields that another class inherits."""

    first: str = "a"  # the first


@dataclass
class Outer(Base):
    """Every way in which a comment stands behind a field."""

    second: float | None = (
        None  # the second
    )  # fmt: skip
    third: list[str] = field(default_factory=list)  # the third, which costs $
    # and more about it
    inner: Inner | None = None  # a section
    inners: dict[str, Inner] = field(default_factory=dict)  # sections of any name


@dataclass
class Bare:
    """A field without a comment."""

    key: int = 0


def test_the_first_line_behind_a_field_is_its_meaning():
    assert meanings(Outer) == {
        "first": "the first",
        "second": "the second",
        "third": "the third, which costs $",
        "inner": "a section",
        "inner.size": "of it",
        "inners": "sections of any name",
    }
    assert list(values_of(Outer, skipped=["first"])) == ["second", "third", "inner.size", "inners"]
    assert defaults(Outer) == {"first": "a"}
    with pytest.raises(KeyError):
        meanings(Bare)


def test_a_listing_is_a_template():
    assert listing({"key": "costs $", "longer": "x"}, {"longer": "2"}) == "key     costs $$\nlonger  x (default 2)"


@pytest.mark.parametrize("section", [Config, Settings])
def test_every_key_has_a_meaning_of_one_line(section):
    for key, meaning in meanings(section).items():
        assert 0 < len(meaning) <= 110, key


def test_the_comments_of_conf_are_the_meanings():
    assert list(rewritten()) == [], "make comments writes them"


def test_conf_names_the_meaning_of_every_key_of_config_yaml():
    own = (ROOT / "conf" / "config.yaml").read_text().partition("\nhydra:")[0].partition("\nh:")[2]
    assert [line for line in own.splitlines() if ":" in line and "#" not in line] == []


def test_each_key_of_an_option_gets_its_meaning_and_remarks_stay():
    text = "# file\nname: x\na: 1  # old\n# why 2\nb: 2\ns:  # old\n  name: y\n  a: '# no'\nother: {c: 1}  # its own\n"
    known = {"g.name": "n", "g.a": "new", "g.b": "new too", "g.s": "section", "g.s.name": "deep n", "g.s.a": "deep"}
    assert with_meanings(text, "g", known) == (
        "# file\nname: x\na: 1  # new\n# why 2\nb: 2  # new too\ns:  # section\n  name: y  # deep n\n"
        "  a: '# no'  # deep\nother: {c: 1}  # its own\n"
    )
    top = {key.removeprefix("g."): meaning for key, meaning in known.items()}
    assert with_meanings("a: 1  # old\nb: 2\n", "", top) == "a: 1  # new\nb: 2\n"


def test_a_new_measure_comes_into_every_protocol():
    text = (ROOT / "conf" / "metrics" / "fid2k_clip_tiny64.yaml").read_text()
    assert with_measures(text) == text
    line = f"kid: end  # {meanings(MetricsConfig)['kid']}\n"
    before, _, after = text.partition(line)
    others, section, rest = after.partition("judge:")
    assert section
    assert with_measures(before + after) == before + others + line + section + rest


def test_help_says_each_setting_of_a_sweep():
    for key, meaning in meanings(Settings).items():
        assert re.search(rf"^{key} +{re.escape(meaning.replace('$', '$$'))}", _sweep_keys(), re.MULTILINE)


def test_the_page_about_sweeps_names_each_setting():
    """Another Hydra app shows no --help of this project's."""
    page = (ROOT / "docs" / "sweeps.md").read_text()
    code = " ".join(re.findall(r"`[^`\n]+`|^    .*", page, re.MULTILINE))
    assert [key for key in meanings(Settings) if not re.search(rf"\b{key}\b", code)] == []


def test_the_pages_name_settings_and_defaults_that_there_are():
    fields, config = defaults(Settings), make_config()
    checked = 0
    for page in SPOKEN:
        text = page.read_text()
        for key in re.findall(r"hydra\.sweeper\.(\w+)", text):
            assert key in meanings(Settings), (page.name, key)
        for prefix, key, value in re.findall(r"`(hydra\.sweeper\.)?(\w+)`\s\((\d[\d.]*)", text):
            default = fields[key] if prefix else getattr(config, key, None)
            if default is not None:
                checked += 1
                assert float(default) == float(value.rstrip(".")), (page.name, key)
    assert checked >= 7


def test_no_two_sections_are_classes_of_one_name():
    """OmegaConf's messages name a section by its class, and `section_of` finds its key by it."""
    found, waiting = set(), [Config]
    while waiting:
        section = waiting.pop()
        found.add(section)
        waiting += [inner for kind in get_type_hints(section).values() for inner in _sections(kind)]
    names = [section.__name__ for section in found]
    assert sorted(names) == sorted(set(names))
