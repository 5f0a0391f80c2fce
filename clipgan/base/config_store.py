"""Let Hydra share its store of structured configs in this process, where it would copy the store again and again."""

from typing import Any


def share_config_store() -> None:
    """Let this process's Hydra share one store of structured configs.

    Hydra copies the store, with all that plug-ins have put there, each time that it composes and for each group that
    --help lists. That took most of the time of --help. Hydra also copies what it loads from it, so one store is enough.
    """
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    store.repo = _SharedStore(store.repo)


class _SharedStore(dict[str, Any]):
    """A tree of configs that is its own deep copy."""

    def __deepcopy__(self, memo: object) -> "_SharedStore":
        return self
