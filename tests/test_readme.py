"""What the README says of faults is what the tests cause."""

import re

from tests.helpers import ROOT


def test_every_line_about_a_fault_names_a_test_that_exists():
    section = (ROOT / "README.md").read_text().partition("## What can go wrong\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for row in rows:
        names = re.findall(r"`(test_\w+)`", row.rpartition(" | ")[2])
        assert names, row
        for name in names:
            assert f"def {name}(" in tests, name
