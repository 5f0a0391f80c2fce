"""Print the lowest versions that pyproject.toml names, as constraints for pip: `name==version` of `name>=version`."""

import re
import tomllib
from pathlib import Path

BOUND = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?>=(?P<version>[0-9.]+)")


def lowest(project: dict) -> list[str]:
    """The pins of a `[project]` table and its extras, sorted; a requirement without a lower bound has none."""
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    found = (BOUND.match(requirement) for group in groups for requirement in group)
    return sorted({f"{match['name']}=={match['version']}" for match in found if match})


if __name__ == "__main__":
    print("\n".join(lowest(tomllib.loads(Path("pyproject.toml").read_text())["project"])))
