"""Each command of the README is run in small, or composed, or stands in a list with the reason why not."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from clipgan.config.command_line import register_resolvers
from tests.helpers import ROOT, make_config
from tests.sweep_check import check_sweep
from tests.tiny import tiny

README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(python|make|mlflow|torchrun|pip|source|clipgan-\w+) ")
TRAIN = "python train.py "
FASTER = (
    "kimg=1", "metrics.fid_sd=never", "metrics.kid=never", "metrics.precision_recall=never",
    "metrics.clip_score=never", "metrics.r_precision=never",
)  # fmt: skip
RUN = {  # what it says when it has done its work; the tour, and then what is quick
    "make demo": "best: trial ",
    "source .venv/bin/activate": "",
    "python train.py h=1": "done: symmetric h=1 shapes 16px, 1 kimg",
    "make report": ".html\n",
    'python -m clipgan.sample run=RUN_ID prompts="a big red circle on a white background;a small blue star" seeds=0-7':
        "grid.png: the grid; 16 more files",
    "python train.py -m loss=symmetric h=0.1,0.5,2": "0 trials run: all 3 points are already in study",
    "python -m sweeps.report STUDY --out report.html": "report.html\n",
    "python -m sweeps.studies list": " in sqlite:",
    "python train.py --config-dir my loss=mine --cfg job": "\n  name: mine\n",
}  # fmt: skip
COMPLETION = 'eval "$(python train.py -sc install=bash)"'
NOT_RUN = {  # and why
    "python train.py --help": "tests/test_train.py runs it",
    COMPLETION: "test_tab_completion runs it",
    "make setup TORCH=cpu": "tests/test_packaging.py looks at what it would run",
    "python -m clipgan.encoder_cost clip=ViT-B32 resnet=resnet50 batch=16 resolution=256":
        "needs weights of hundreds of megabytes; tests/test_encoder_cost.py runs it with small ones",
}  # fmt: skip


def blocks(language: str) -> list[str]:
    """What stands between ```language and ```."""
    return [text for found, text in BLOCK.findall(README) if found == language]


def commands() -> list[str]:
    """All commands: a line each of the blocks called sh, and what is one in running text."""
    lines = "".join(blocks("sh")).replace("\\\n", " ").splitlines()
    spans = re.findall(r"`([^`\n]+)`", BLOCK.sub("", README))
    found = [*lines, *(span for span in spans if COMMAND.match(span))]
    return list(dict.fromkeys(" ".join(line.split()) for line in found))


def options(group: str) -> list[str]:
    """The options of a group that clipgan ships."""
    return sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))


def plain_environment() -> dict[str, str]:
    """Without what `make test ARGS=...` hands on, and without another place for figures."""
    own = ("ARGS", "MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "MFLAGS", "MLFLOW_TRACKING_URI")
    return {name: value for name, value in os.environ.items() if name not in own}


def test_the_lists_name_commands_of_the_page():
    assert {*RUN, *NOT_RUN} <= set(commands())


def test_a_command_stands_where_it_is_found():
    assert {language for language, _ in BLOCK.findall(README)} == {"sh", "yaml", "python"}
    other = [*BLOCK.sub("", README).splitlines(), *"".join(blocks("yaml")).splitlines()]
    assert not [line for line in other if line.startswith((" ", "$")) and COMMAND.match(line.lstrip(" $"))]


def test_the_table_of_groups_names_every_group_and_option():
    rows = {group: set(re.findall(r"`([^`]+)`", cell)) for group, cell in
            re.findall(r"^\| `(\w+)` \| ([^|]+) \|", README, re.MULTILINE)}  # fmt: skip
    groups = {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()} - {"hydra"}
    assert rows.keys() == groups
    del rows["experiment"]  # docs/experiments.md lists the experiments
    differing = {group: names ^ set(options(group)) for group, names in rows.items()}
    assert {group: names for group, names in differing.items() if names} == {}, "the table has others than conf/"


def test_tab_completion():
    """What a person types, after the page's line, and what the tab key offers."""
    typed = "python train.py loss="
    script = f"""
    export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"
    {COMPLETION}
    COMP_LINE="{typed}" COMP_POINT={len(typed)} COMP_WORDS=({typed}) COMP_CWORD=2
    hydra_bash_completion
    echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [f"loss={name}" for name in options("loss")], done.stderr


def test_the_python_of_the_page_uses_functions_that_there_are():
    [text] = blocks("python")
    names: dict[str, object] = {}
    exec(text.splitlines()[0], names)  # tests/api/test_api.py runs the rest in small, in the notebook
    called = set(re.findall(r"\b(\w+)\(", text)) - {"draw", "save"}
    assert called <= names.keys()


def compose(command: str, conf: Path) -> None:
    """What Hydra, the sweeper and the configuration's own checks say of a training or a sweep."""
    register_resolvers()  # which clipgan/main.py does before Hydra composes
    words = shlex.split(command)[2:]
    overrides = [word for word in words if word not in ("-m", "--config-dir", conf.name)]
    place = [f"hydra.searchpath=[file://{conf}]"] * ("--config-dir" in words)
    if "-m" in words:
        overrides = check_sweep(ROOT / "conf", [*overrides, *place], conf.parent)
    make_config(*overrides, *place)


@pytest.fixture
def conf(tmp_path):
    """The folder `my`, with the structure of the page."""
    (tmp_path / "my" / "loss").mkdir(parents=True)
    (text,) = blocks("yaml")
    (tmp_path / "my" / "loss" / "mine.yaml").write_text(text)
    return tmp_path / "my"


@pytest.mark.parametrize("command", [line for line in commands() if line not in RUN and line not in NOT_RUN])
def test_what_would_take_long_composes(command, conf):
    if command.startswith("make "):
        dry = subprocess.run(
            [*shlex.split(command), "-n"], cwd=ROOT, env=plain_environment(), capture_output=True, text=True, check=True
        )
        for line in re.findall(r"train\.py .*", dry.stdout):
            compose(f"python {line}", conf)
    else:
        assert command.startswith(TRAIN), f"{command} is not composed; put it into RUN or NOT_RUN"
        compose(command, conf)


@pytest.fixture
def checkout(conf):
    """A folder that is like a checkout after `make setup`, with this Python."""
    for name in ("train.py", "Makefile", "pyproject.toml"):
        (conf.parent / name).symlink_to(ROOT / name)
    bin_dir = conf.parent / ".venv" / "bin"
    bin_dir.mkdir(parents=True)
    (bin_dir / "python").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tests.warm "$@"\n')
    (bin_dir / "python").chmod(0o755)
    (bin_dir / "activate").touch()
    (bin_dir / ".installed").touch()
    return conf.parent


def in_small(command: str, overrides: list[str], folder: Path) -> str:
    """The command with little data and a small network, and this folder's names in place of those in capitals."""
    for name, pattern in (("RUN_ID", "runs/*/0/mlflow_run_id.txt"), ("STUDY", "runs/*/0")):
        if f"{name} " in command:
            (path,) = folder.glob(pattern)
            command = command.replace(name, path.read_text().strip() if path.is_file() else path.parent.name)
    if command == "make demo":
        return f"{command} ARGS={shlex.quote(shlex.join([*overrides, 'hydra.sweeper.workers=1']))}"
    if not command.startswith(TRAIN) or "--cfg" in command:
        return command
    of_its_kind = (
        "hydra.sweeper.workers=1" if " -m " in command else "mlflow.tracking_uri=null"
    )  # the sweep has shown it
    return shlex.join([*shlex.split(command), *overrides, of_its_kind])


@pytest.mark.slow
def test_the_tour(checkout, cache_dir):
    overrides = [word for word in tiny(cache_dir, *FASTER) if not word.startswith("kimg=2")]
    places = {"PATH": f"{checkout}/.venv/bin:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    environment = plain_environment() | places | {"OMP_NUM_THREADS": "1"}
    for command, words in RUN.items():
        small = in_small(command, overrides, checkout)
        done = subprocess.run(
            ["bash", "-c", small],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert words in done.stdout, command
