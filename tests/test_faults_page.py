"""What docs/faults.md says of faults is what the tests cause."""

import re

from tests.helpers import ROOT

TEST = re.compile(r"^((?:@.*\n(?:[ )].*\n)*)*)def (test_\w+)\(", re.MULTILINE)  # its decorators and its name
LONG = re.compile(r"^@pytest\.mark\.endurance", re.MULTILINE)


def test_every_line_about_a_fault_names_tests_of_which_one_runs_in_ci():
    page = (ROOT / "docs" / "faults.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| what goes wrong |")]
    assert len(rows) > 20
    texts = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    tests = {name: decorators for text in texts for decorators, name in TEST.findall(text)}
    for row in rows:
        names = re.findall(r"`(test_\w+)`", row.rpartition(" | ")[2])
        assert names, row
        assert set(names) <= tests.keys()
        assert not all(LONG.search(tests[name]) for name in names), row
