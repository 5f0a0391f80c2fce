"""The picture in CONTRIBUTING.md, and what the files import: the same."""

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from tests.helpers import ROOT

PACKAGES = ("clipgan", "sweeps", "hydra_plugins", "bench", "tests")
FILES = [path for package in PACKAGES[:3] for path in sorted((ROOT / package).rglob("*.py"))] + [ROOT / "train.py"]
TOOLS = (
    "clipgan.base.checkout",
    "clipgan.base.composing",
    "clipgan.base.config_store",
    "clipgan.base.console",
    "clipgan.base.durable_files",
    "clipgan.base.installed",
    "clipgan.base.lookup",
    "clipgan.base.mlflow_store",
    "clipgan.base.nvidia_smi",
    "clipgan.base.out_of_memory",
    "clipgan.base.secrets",
    "clipgan.base.text",
)  # of clipgan/, that sweeps/ may import
ONLY_IN = {  # a library: the modules that know it
    "hydra": (
        "clipgan.main",
        "clipgan.base.composing",
        "clipgan.base.config_store",
        "clipgan.config.arguments",
        "clipgan.config.command_line",
        "sweeps",
        "hydra_plugins",
    ),
    "optuna": ("sweeps",),
    "torch": ("clipgan",),
}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(source: str) -> Iterator[str]:
    """Every name that a file imports, in functions too; of `from a import b` both a and a.b, as b may be a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


class Picture:
    """The flowchart: the modules of each box, and its arrows."""

    def __init__(self, text: str) -> None:
        chart = text.partition("```mermaid\n")[2].partition("```")[0]
        self.boxes = {  # box -> modules
            box: [self._module(name) for name in names.split(", ")]
            for box, names in re.findall(r'^ +(\w+)\["<b>.+</b><br>(.+)"\]$', chart, re.MULTILINE)
        }
        self.arrows = set(re.findall(r"^ +(\w+) --> (\w+)$", chart, re.MULTILINE))

    @staticmethod
    def _module(name: str) -> str:
        return name.removesuffix(".py").replace("/", ".")

    def box(self, module: str) -> str | None:
        """Where a module stands: the box with the longest of the names that it is in."""
        found = [(len(name), box) for box, names in self.boxes.items() for name in names if is_in(module, name)]
        return max(found)[1] if found else None

    def reached(self, box: str) -> set[str]:
        """The boxes that arrows lead to."""
        nearest = {to for start, to in self.arrows if start == box}
        return nearest.union(*map(self.reached, nearest))


def drawn() -> Picture:
    return Picture((ROOT / "CONTRIBUTING.md").read_text())


def crossings(picture: Picture) -> Iterator[tuple[str, str, str, str]]:
    """Each import from one box into another: the two boxes, the importing module and what it imports."""
    for path in FILES:
        module = module_of(path)
        for name in imported(path.read_text()):
            start, to = picture.box(module), picture.box(name)
            if start and to and start != to:
                yield start, to, module, name


def test_the_picture_is_read():
    picture = Picture(
        '```mermaid\n    a["<b>A</b><br>train.py, clipgan/main"]\n    b["<b>B</b><br>sweeps/report"]\n    a --> b\n```'
    )
    assert picture.boxes == {"a": ["train", "clipgan.main"], "b": ["sweeps.report"]}
    assert picture.arrows == {("a", "b")}
    assert picture.box("clipgan.main") == "a"
    assert picture.box("sweeps.report.page") == "b"
    assert picture.box("sweeps.study") is None


def test_every_module_stands_in_a_box_and_every_name_is_a_module():
    picture, modules = drawn(), {module_of(path) for path in FILES}
    floors = {module_of(path) for path in FILES if path.name == "__init__.py" and not list(imported(path.read_text()))}
    assert [module for module in modules - floors if picture.box(module) is None] == []
    named = {name for names in picture.boxes.values() for name in names}
    assert [name for name in named if not any(is_in(module, name) for module in modules)] == []


def test_no_arrow_leads_back():
    picture = drawn()
    assert picture.arrows
    assert {box for arrow in picture.arrows for box in arrow} == picture.boxes.keys()
    nearest = {box: {to for start, to in picture.arrows if start == box} for box in picture.boxes}
    graphlib.TopologicalSorter(nearest).prepare()  # raises on a cycle


def test_imports_follow_the_arrows():
    picture = drawn()
    against = [(module, name) for start, to, module, name in crossings(picture) if to not in picture.reached(start)]
    assert against == []


def test_every_arrow_is_needed():
    picture = drawn()
    assert picture.arrows - {(start, to) for start, to, *_ in crossings(picture)} == set()


def test_the_boxes_are_folders_and_the_top_level_holds_doors():
    """A name in the picture is a folder, or a module on the top level, which a user or Hydra starts."""
    named = [name for names in drawn().boxes.values() for name in names]
    for name in named:
        path = ROOT / name.replace(".", "/")
        assert path.is_dir() or path.parent in (ROOT, ROOT / "clipgan", ROOT / "sweeps"), name
    assert {path.name for path in (ROOT / "sweeps").glob("*.py")} == {"__init__.py", "sweeper.py"}
    for path in (ROOT / "clipgan").glob("*.py"):
        source = path.read_text()
        assert path.name == "__init__.py" or "def main() -> None:" in source, f"{path} is no command: it is loose"


def test_no_circle_of_files():
    """Nowhere, not inside a box either; a package's `__init__` is imported only where it is named."""
    modules = {module_of(path): path for path in FILES}
    imports = {module: set(modules_in(path.read_text(), modules)) - {module} for module, path in modules.items()}
    graphlib.TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


def modules_in(source: str, modules: Collection[str]) -> Iterator[str]:
    """The modules of this project that a file imports: of `from a import b` a.b where that is a module, else a."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield from [each for each in (name, str(node.module)) if each in modules][:1]


def test_a_circle_is_found():
    imports = {name: set(modules_in(source, ("p.a", "p.b"))) for name, source in (
        ("p.a", "def f():\n    from p import b"), ("p.b", "from p.a import f"))}  # fmt: skip
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter(imports).prepare()


def test_the_project_imports_neither_its_tests_nor_its_benchmarks():
    for path in FILES:
        assert not any(is_in(name, other) for name in imported(path.read_text()) for other in PACKAGES[3:]), path


def test_sweeps_use_only_tools_of_clipgan_that_import_no_torch():
    """A sweep imports neither torch nor any training: it sweeps over other Hydra apps too."""
    modules = [module_of(path) for path in FILES]
    for path in (ROOT / "sweeps").rglob("*.py"):
        for name in modules_in(path.read_text(), modules):
            assert not is_in(name, "clipgan") or any(is_in(name, tool) for tool in TOOLS), (path, name)
    code = f"import sys, {', '.join(TOOLS)}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_each_library_is_known_where_it_should_be():
    for path in FILES:
        for name in imported(path.read_text()):
            allowed = ONLY_IN.get(name.partition(".")[0])
            assert allowed is None or any(is_in(module_of(path), package) for package in allowed), (path, name)
