"""A command line's arguments as text: its flags, its overrides and their keys, and the quotes that paths need."""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from clipgan.base.errors import UserError
from clipgan.base.text import config_flags
from clipgan.config.mistakes import refuse_removal, refuse_unusable

PATH_KEYS = (  # their values are paths or addresses: text, whatever characters are in it
    "data.path", "data.heldout_path", "cache_dir", "resume", "init", "clip.checkpoint", "resnet.checkpoint",
    "discriminator.checkpoint", "metrics.judge.checkpoint", "metrics.inception_weights", "metrics.dinov2_weights",
    "metrics.cmmd_weights", "metrics.captions", "mlflow.tracking_uri", "hydra.run.dir", "hydra.sweep.dir",
    "hydra.sweeper.storage", "hydra.sweeper.mlflow_tracking_uri",
)  # fmt: skip
PLAIN_PATH = re.compile(
    r"(?!(?i:null|true|false|nan|inf)$)[A-Za-z/._][A-Za-z0-9/._@:+-]*"
)  # what Hydra reads as text anyway
EMPTY = ("", "''", '""')
# Hydra's flags
WITH_VALUE = ("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
              "--experimental-rerun")  # fmt: skip
MAYBE_WITH_VALUE = ("--info", "-i")
PRIMARY, FURTHER = ("--config-path", "-cp"), ("--config-dir", "-cd")
SEARCH_PATH = "hydra.searchpath"


def key_of(override: str) -> str:
    """The key or group that an override gives, adds or takes away: `h` of `h=1`, `+h=1` and `~h`."""
    return override.partition("=")[0].lstrip("+~")


def quoted(text: str) -> str:
    """Write text as a value of an override: in quotes if Hydra would read something else than this text."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return text if PLAIN_PATH.fullmatch(text) else QuotedString(text=text, quote=Quote.single).with_quotes()


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Quote the paths among a command line's overrides that Hydra's grammar cannot read, or reads as another type.

    A user's own quotes, null, and in a sweep several paths between commas, stay as they are.

    Raises:
        UserError: an override has no key, a path is empty, which would be the working directory, a group gets no name,
            or a setting is removed without another in its place.
    """
    overrides = flags_and_overrides(arguments)[1]
    for place, override in enumerate(overrides):
        _refuse_no_value(override)
        refuse_unusable(override)
        if override.startswith("~"):
            refuse_removal(override, [key_of(line) for line in overrides[place + 1 :]])
    sweep = bool({"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(arguments))
    return [_with_quoted_path(argument, sweep) for argument in arguments]


def _refuse_no_value(override: str) -> None:
    key, equals, value = override.partition("=")
    if equals and not key.strip("+~"):
        raise UserError(f"{override} has no key: write KEY=VALUE")
    if equals and key.lstrip("+") in PATH_KEYS and value in EMPTY:
        raise UserError(f"{override} is empty: give {key}=VALUE, or leave it out")


def _with_quoted_path(argument: str, sweep: bool) -> str:
    key, _, value = argument.partition("=")
    if value in EMPTY or key.lstrip("+") not in PATH_KEYS or PLAIN_PATH.fullmatch(value):
        return argument
    # shells leave ~/ in an argument
    value = re.sub(r"(^|,)~/" if sweep else "^()~/", lambda found: found[1] + os.path.expanduser("~/"), value)
    argument = f"{key}={value}"
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        override = OverridesParser.create().parse_override(f"key={value}")
    except HydraException:
        return f"{key}={quoted(value)}"
    if override.is_sweep_override():
        return argument if sweep else f"{key}={quoted(value)}"
    read = override.value()
    own = value[0] in "'\"" or "\\" in value  # quotes or escapes of the user's
    is_text = read is None or (isinstance(read, str) and (own or read == value))
    return argument if is_text else f"{key}={quoted(value)}"


def flags_and_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part a command line: the parser of flags refuses overrides that stand on both sides of a flag."""
    flags: list[str] = []
    overrides: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("-"):
            overrides.append(argument)
            continue
        flags.append(argument)
        takes = argument in WITH_VALUE or (argument in MAYBE_WITH_VALUE and "=" not in "".join(rest[:1]))
        if takes and rest and not rest[0].startswith("-"):
            flags.append(rest.pop(0))
    return flags, overrides


def own_folders(arguments: Sequence[str]) -> list[Path]:
    """The folders of YAML files that Hydra searches after clipgan's: those of --config-dir and `hydra.searchpath`."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    found: list[str] = []
    given = iter(config_flags(arguments))
    for flag in given:
        name, equals, value = flag.partition("=")
        value = value if equals else next(given)
        if name in PRIMARY:  # it takes the place of clipgan's
            return []
        found += [value] * (name in FURTHER)
    for line in (line for line in flags_and_overrides(arguments)[1] if key_of(line) == SEARCH_PATH):
        with suppress(HydraException):  # its message comes when Hydra reads it
            places = OverridesParser.create().parse_override(line).value()
            if not isinstance(places, list):
                raise UserError(f"{line} is not allowed: it must be a list, as in {SEARCH_PATH}=[file://DIR]")
            for place in places:
                scheme, _, path = str(place).rpartition("://")
                found += [path] * (scheme in ("", "file"))
    return [Path(place) for place in found]
