"""What clipgan uses of libraries without a promise that it stays: each name is still there, and no other is used."""

import ast
import inspect
import pkgutil
from importlib.metadata import version

import pytest
import sqlalchemy

from tests.helpers import ROOT

# library -> names; after the colon stands what is inside the module
NAMES = {
    "torch": (
        "torch._inductor.cpp_builder:get_cpp_compiler",  # compile=... on a CPU without a compiler: one line at once
        "torch._inductor.exc:InvalidCxxCompiler",
        "torch:_foreach_copy_",  # the parameters of a network in one operation; beta, and in torch.optim everywhere
        "torch:_foreach_mul",
        "torch:_foreach_rsqrt",
        "torch._C:Graph.insertConstant",  # a step that a CPU repeats; without these, it runs eagerly
        "torch._C:_create_function_from_graph",
        "torch.cpu:_is_amx_tile_supported",  # precision=auto; torch.cpu.get_capabilities() is newer than torch 2.6
        "torch.utils._python_dispatch:TorchDispatchMode",  # FLOPs where FlopCounterMode stumbles
        "torch.utils.flop_counter:flop_registry",
    ),
    "optuna": (
        "optuna.storages:RDBStorage._get_trials",  # reads what has changed; get_all_trials reads a study each time
        "optuna.storages:RDBStorage._get_stale_trial_ids",
    ),
}
ATTRIBUTES = {"_trial_id", "_schema"}  # of Optuna's trials, see below; of PyTorch's operations
PUBLIC = {"_replace", "_exit"}  # of named tuples, and of os
FILES = [*(path for name in ("clipgan", "sweeps", "hydra_plugins") for path in sorted((ROOT / name).rglob("*.py")))]


def gone(library: str, name: str) -> str:
    """The message for a name that a library no longer has."""
    last = name.rpartition(".")[2].rpartition(":")[2]
    users = [str(path.relative_to(ROOT)) for path in FILES if last in path.read_text()]
    return (
        f"{library} {version(library)} has no {name} any more, which {', '.join(users)} uses: find another way, or keep"
        f" {library} below this version in pyproject.toml"
    )


@pytest.mark.parametrize(("library", "name"), [(library, name) for library in NAMES for name in NAMES[library]])
def test_the_name_is_still_there(library: str, name: str) -> None:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        pytest.fail(gone(library, name))


def test_optunas_inner_calls_take_what_they_are_given() -> None:
    from optuna.storages import RDBStorage
    from optuna.trial import create_trial

    parameters = list(inspect.signature(RDBStorage._get_trials).parameters)
    expected = ["self", "study_id", "states", "included_trial_ids", "trial_id_greater_than"]
    assert parameters == expected, gone("optuna", "RDBStorage._get_trials(study, states, included ids, last id)")
    assert list(inspect.signature(RDBStorage._get_stale_trial_ids).parameters) == ["self", "study_id"], gone(
        "optuna", "RDBStorage._get_stale_trial_ids(study)"
    )
    assert hasattr(create_trial(value=0.0), "_trial_id"), gone("optuna", "FrozenTrial._trial_id")
    storage = RDBStorage("sqlite://")
    for attribute in ("engine", "heartbeat_interval", "grace_period"):
        assert hasattr(storage, attribute), gone("optuna", f"RDBStorage.{attribute}")
    columns = {column["name"] for column in sqlalchemy.inspect(storage.engine).get_columns("trials")}
    assert {"trial_id", "study_id", "number", "state"} <= columns, gone("optuna", "the table trials")


def test_hydras_store_is_a_tree_of_configs() -> None:
    """`share_config_store` replaces this tree in the process of a sweep and in clipgan's own."""
    from hydra.core.config_store import ConfigNode, ConfigStore

    import hydra_plugins.clipgan_sweeper  # noqa: F401  # registers itself

    node = getattr(ConfigStore.instance(), "repo", {}).get("hydra", {}).get("sweeper", {}).get("study.yaml")
    assert isinstance(node, ConfigNode), gone("hydra-core", "ConfigStore.repo")


def test_no_other_private_name_is_used() -> None:
    known = {part for names in NAMES.values() for name in names for part in name.replace(":", ".").split(".")}
    trees = {path: ast.parse(path.read_text()) for path in FILES}
    own = {name for tree in trees.values() for name in defined(tree)}
    found = {
        name: str(path.relative_to(ROOT))
        for path, tree in trees.items()
        for name in private_names(tree)
        if name not in own | PUBLIC
    }
    allowed = {name for name in known if name.startswith("_")} | ATTRIBUTES
    assert {name: path for name, path in found.items() if name not in allowed} == {}
    assert allowed - set(found) == set(), "these are used no more"


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def private_names(tree: ast.AST) -> set[str]:
    """Names with an underscore that a file reads from a module or an object."""
    found = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {part for alias in node.names for part in alias.name.split(".")}
        elif isinstance(node, ast.ImportFrom):
            found |= {*str(node.module).split("."), *(alias.name for alias in node.names)}
    return {name for name in found if is_private(name)}


def defined(tree: ast.AST) -> set[str]:
    """Names with an underscore that a file defines: functions, classes, variables, attributes and fields."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return {name for name in found if is_private(name)}
