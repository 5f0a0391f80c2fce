"""Let Hydra compose a configuration outside its own commands, also inside another Hydra application."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader


_one_at_a_time = threading.RLock()  # Hydra's state is the process's, whichever thread composes


def version_base() -> dict[str, Any]:
    """The argument `version_base` of Hydra's entry points: Hydra 1.3 needs it, and later versions warn of it."""
    import hydra

    return {"version_base": "1.3"} if hydra.__version__.startswith("1.3.") else {}


def given_overrides(hydra: Any, kind: str) -> list[str]:
    """Return the overrides of a command line as they were written: OmegaConf would put values for references in them.

    Args:
        hydra: Hydra's own part of a configuration.
        kind: `task`, or `hydra` for those of Hydra's own keys and groups.
    """
    from omegaconf import OmegaConf

    lines: Any = OmegaConf.to_container(hydra.overrides[kind], resolve=False)
    return list(lines)


@contextmanager
def composing(folder: Path) -> Iterator["ConfigLoader"]:
    """Make a folder of YAML files Hydra's configuration, and yield the loader.

    Another Hydra application that runs in this process finds its own state afterwards.
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.utils import JobRuntime
    from hydra.version import VersionBase

    with _one_at_a_time:
        outer = GlobalHydra.instance()
        kept: Any = outer.hydra and (outer.hydra, VersionBase.instance().getbase(), JobRuntime.instance().get("name"))
        outer.clear()  # a second one is refused
        try:
            with initialize_config_dir(str(folder), **version_base()):
                yield GlobalHydra.instance().config_loader()
        finally:
            if kept is not None:
                outer.hydra, base, name = kept
                GlobalHydra.set_instance(outer)
                VersionBase.instance().setbase(base)
                JobRuntime.instance().set("name", name)
