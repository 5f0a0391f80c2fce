"""Print the versions of all that this environment has of clipgan's requirements, as constraints for pip.

The requirements of pyproject.toml with all extras, theirs, and so on. Tools that the environment has besides are left
out, and so are labels of builds (`+cpu`), which the Python Package Index does not know.
"""

import platform
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def locked(roots: list[str]) -> dict[str, str]:
    """The installed versions by name, of these requirements and of what they require here."""
    versions: dict[str, str] = {}
    waiting, seen = [Requirement(root) for root in roots], set()
    while waiting:
        requirement = waiting.pop()
        wanted = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if wanted in seen:
            continue
        seen.add(wanted)
        try:
            found = distribution(requirement.name)
        except PackageNotFoundError:
            raise SystemExit(f"{requirement} is not installed: make setup, then make lock") from None
        versions[wanted[0]] = found.version.partition("+")[0]
        for line in found.requires or ():
            further = Requirement(line)
            extras = requirement.extras or {""}
            if further.marker is None or any(further.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(further)
    return versions


if __name__ == "__main__":
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    every = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    print("# The versions that the tests ran with. Written by `make lock`; `make setup LOCKED=1` installs them.")
    print(f"# Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    for name, version in sorted(locked(every).items()):
        print(f"{name}=={version}")
