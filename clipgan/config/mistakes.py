"""Say what a command line has wrong, with a suggestion, where Hydra and OmegaConf would use their own terms."""

import re
import shlex
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from clipgan.base.installed import conf, train_command
from clipgan.config.meanings import meanings
from clipgan.config.training import Config

NO_KEY = re.compile(r"Could not override '(?P<key>[^']+)'")
CONVERTED = re.compile(r"Value '(?P<value>.*)' of type '\w+' could not be converted to (?P<kind>\w+)")
NO_LIST = "is not a ListConfig"
KINDS = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false"}
LENGTHS = ("kimg", "snapshot_kimg", "epochs", "snapshot_epochs")
WHY_WHOLE = ": metrics, checkpoints and sweeps count whole units; experiment=quick is a shorter first try"
SEARCH_PATH = "Config search path:"  # begins the part of Hydra's message that no user needs


def described(error: Exception, further_keys: Iterable[str] = ()) -> str:
    """The message for a mistake that Hydra has found.

    Args:
        error: Hydra's or OmegaConf's.
        further_keys: keys that this package does not know, such as those of sweeps.
    """
    missing, options = getattr(error, "missing_cfg_file", None), getattr(error, "options", None)
    if isinstance(missing, str) and options:
        group, _, option = missing.rpartition("/")
        return f"{group}={option} is not an option{_close(option, options)} Options of {group}: {', '.join(options)}"
    message = str(error).partition(SEARCH_PATH)[0].rstrip()
    found = NO_KEY.match(message)
    return no_such_key(found["key"], further_keys) if found else message


def no_such_key(key: str, further_keys: Iterable[str] = ()) -> str:
    """The message for an unknown key, or for one that the chosen task lacks."""
    own = meanings(Config)
    if key in own:
        return f"{key} is no key of this configuration" + (" without task=simclr" if _is_simclr(key) else "")
    groups = [path.name for path in conf().iterdir() if path.is_dir()]
    close = _close(key, [*own, *groups, *further_keys])
    return f"there is no key {key}{close} {shlex.join(train_command())} --help lists the keys"


def of_value(key: str | None, reason: str) -> str:
    """The message for a value that OmegaConf has refused.

    Args:
        key: its dotted key.
        reason: the first line of OmegaConf's message.
    """
    if key is None:
        return reason
    if reason.startswith("Key '"):
        return no_such_key(key)
    if NO_LIST in reason:
        return f"{key} must be a list: give {key}=[VALUE] or {key}=[ONE,TWO]"
    found = CONVERTED.match(reason)
    if found is None or found["kind"] not in KINDS:
        return f"{key}: {reason}"
    why = WHY_WHOLE if key in LENGTHS else ""
    return f"{key}={found['value']} is not allowed: {key} must be {KINDS[found['kind']]}{why}"


def _is_simclr(key: str) -> bool:
    return key.partition(".")[0] in ("simclr", "epochs", "snapshot_epochs")


def _close(name: str, known: Iterable[Any]) -> str:
    """End a sentence with a suggestion, if a name is close; the case of its letters does not count."""
    by_lower = {str(each).lower(): str(each) for each in known}
    begun = [key for key in by_lower if key.startswith(name.lower())]
    close = begun if len(begun) == 1 else get_close_matches(name.lower(), by_lower, n=1)
    return f": did you mean {by_lower[close[0]]}?" if close else "."
