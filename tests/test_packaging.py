"""The files beside the code that install it, describe it, or put it into a container."""

import re
import subprocess
import tomllib

import yaml

from tests.helpers import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def setup_lines(*variables):
    """What `make setup` would run in a checkout without an environment."""
    command = ["make", "-n", "setup", "VENV=/nowhere", *variables]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_setup_takes_the_wheels_of_pytorch_that_torch_names_and_else_what_pip_finds():
    assert "torch==" not in setup_lines()
    lines = setup_lines("TORCH=cpu").splitlines()
    [first] = [number for number, line in enumerate(lines) if "torch==" in line]
    assert re.search(r"install --no-compile torch==[\d.]+\+cpu torchvision==[\d.]+\+cpu$", lines[first])
    assert lines[first + 1].endswith("--editable '.[dev]'")  # the rest, after it


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = PROJECT["project"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    released = re.search(
        rf"^## \[{re.escape(project['version'])}\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M
    )
    assert released is not None
    assert citation["date-released"] == released[1]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


def test_the_container_gets_what_the_wheel_is_built_from():
    wheel, ignore = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"], (ROOT / ".dockerignore").read_text()
    needed = {*wheel["packages"], *wheel["force-include"], "pyproject.toml", PROJECT["project"]["readme"], "LICENSE"}
    assert set(re.findall(r"^!(.+)$", ignore, re.MULTILINE)) == needed
    docker = (ROOT / "Dockerfile").read_text()
    [extras] = re.findall(r"/source\[([\w,]+)\]", docker)
    assert set(extras.split(",")) <= PROJECT["project"]["optional-dependencies"].keys()
    [command] = re.findall(r'^ENTRYPOINT \["(.+)"\]$', docker, re.MULTILINE)
    assert command in PROJECT["project"]["scripts"]
