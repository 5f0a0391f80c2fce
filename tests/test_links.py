"""Links between the pages: each leads to a file, and to a heading where it names one."""

import re

import pytest

from tests.helpers import ROOT

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
LINK = re.compile(r"\]\((?!https?://)([^)#]*)#?([^)]*)\)")


def anchors(text: str) -> set[str]:
    """The names that GitHub gives to headings."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_linked_is_there(page):
    for place, anchor in LINK.findall(page.read_text()):
        target = page.parent / place if place else page
        assert target.exists(), place
        assert not anchor or anchor in anchors(target.read_text()), f"{place}#{anchor}"


def test_every_page_can_be_reached_from_the_readme():
    linked = {place for place, _ in LINK.findall((ROOT / "README.md").read_text())}
    assert {f"docs/{page.name}" for page in PAGES if page.parent.name == "docs"} <= linked
