"""Print the lowest versions that pyproject.toml names for this Python, as constraints for pip: `name==version`."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement


def lowest(project: dict) -> list[str]:
    """The pins of a `[project]` table and its extras, sorted; a requirement without a lower bound has none."""
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    here = [Requirement(line) for group in groups for line in group]
    return sorted(
        {
            f"{requirement.name}=={bound.version}"
            for requirement in here
            if requirement.marker is None or requirement.marker.evaluate()
            for bound in requirement.specifier
            if bound.operator == ">="
        }
    )


if __name__ == "__main__":
    print("\n".join(lowest(tomllib.loads(Path("pyproject.toml").read_text())["project"])))
