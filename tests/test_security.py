"""What the project promises about code that files bring, servers that it starts, and what it depends on."""

import ast
import re
import tomllib

import pytest
from packaging.requirements import Requirement

from clipgan.base.errors import UserError
from clipgan.config import MlflowConfig
from sweeps.base.errors import SweepError
from sweeps.base.settings import Settings
from tests.helpers import ROOT

SOURCES = [path for folder in ("clipgan", "sweeps", "hydra_plugins") for path in sorted((ROOT / folder).rglob("*.py"))]
SOURCES.append(ROOT / "train.py")
NEVER = {"eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "torch.jit.load", "torch.hub.load",
         "marshal.loads", "shelve.open", "pickle.load", "joblib.load"}  # fmt: skip
UNPICKLERS = {  # each refuses every name but a few, and has tests of its own
    "clipgan/inputs/data/official_split.py",
    "clipgan/inputs/encoders/torchscript.py",
    "clipgan/import_lafite/unpickle.py",
}
OWN_MEMORY = {"clipgan/inputs/data/spool.py"}  # a temporary file without a name, which no other process can reach


def calls():
    """Every call in the project: its file, what is called, and the call."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield path.relative_to(ROOT).as_posix(), ast.unparse(node.func), node


def keywords(call):
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}


def test_no_file_can_bring_code():
    seen = set()
    for path, name, call in calls():
        assert name not in NEVER, f"{path}: {name}"
        if name == "torch.load":
            assert keywords(call).get("weights_only") == "True", path
            seen.add(name)
        if name in ("np.load", "numpy.load"):
            assert "allow_pickle" not in keywords(call), path  # numpy refuses pickles by default
            seen.add(name)
        if name == "pickle.loads":
            assert path in OWN_MEMORY, path
            seen.add(name)
        if name == "pickle.Unpickler":
            pytest.fail(f"{path}: a plain unpickler")
    assert seen == {"torch.load", "np.load", "pickle.loads"}
    bases = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and "pickle.Unpickler" in map(ast.unparse, node.bases)
    }
    assert bases == UNPICKLERS


def test_no_value_reaches_a_shell():
    for path, name, call in calls():
        assert keywords(call).get("shell", "False") == "False", f"{path}: {name}"


def test_no_archive_is_unpacked_by_a_library():
    """Members are read one by one, after `check_member`: nothing outside, no links, no devices."""
    found = [
        (path, name)
        for path, name, _ in calls()
        if re.search(r"\b(tar|archive|zip\w*)\.extract$|\.(extractall|unpack_archive)$", name)
    ]
    assert found == []


def test_servers_listen_on_loopback_alone():
    started = 0
    for path in [ROOT / "Makefile", ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for line in path.read_text().splitlines():
            assert "0.0.0.0" not in line, line
            if re.search(r"\bmlflow (ui|server|models serve)\b.* -", line):
                assert "--host 127.0.0.1" in line, line
                started += 1
    assert started >= 2


def test_every_dependency_has_an_upper_bound():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = [line for lines in project["optional-dependencies"].values() for line in lines]
    for line in [*project["dependencies"], *optional]:
        assert any(specifier.operator == "<" for specifier in Requirement(line).specifier), line


@pytest.mark.parametrize("name", ["../elsewhere", "/etc/x", "a/b", "..", "", "a\\b", "a\nb"])
def test_a_name_of_a_study_stays_in_its_folder(name):
    with pytest.raises(SweepError, match=r"study_name=(.|\n)* is not allowed"):
        Settings(study_name=name).check()


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\0b"])
def test_a_name_of_an_experiment_is_a_name(name):
    with pytest.raises(UserError, match=r"mlflow\.experiment='.*' is not allowed"):
        MlflowConfig(experiment=name)
