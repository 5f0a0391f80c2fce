"""The command line's side of the commands: composing overrides, and showing mistakes. Hydra is known here alone."""

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from clipgan.base.errors import DivergenceError, UserError
from clipgan.base.installed import conf, module_command, train_command
from clipgan.base.text import first_line, printable
from clipgan.config import Config, from_yaml, plain, refuse_unread
from clipgan.config.identity import is_listed, not_in_identity
from clipgan.config.meanings import listing, values_of
from clipgan.config.measure_registry import direction_of
from clipgan.config.mistakes import described, of_hydras_value_error, refuse_flags, refuse_unusable, system_message

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
HOW_TO_QUOTE = (
    "a value with any of & # ( ) [ ] { } ; = , ' or a letter beyond ASCII needs quotes inside the shell's quotes"
)
# Hydra's flags
WITH_VALUE = ("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
              "--experimental-rerun")  # fmt: skip
MAYBE_WITH_VALUE = ("--info", "-i")


def register_resolvers(**more: Callable[..., Any]) -> None:
    """Register the names that conf/ refers to as `${name:argument}`.

    Args:
        more: name -> function, for names that another package gives.
    """
    import omegaconf

    old = omegaconf.__version__.startswith("2.3.")
    register = getattr(omegaconf.OmegaConf, "register_new_resolver" if old else "register_resolver")
    for name, resolver in {
        "not_in_identity": not_in_identity,
        "direction_of": direction_of,
        "train_command": lambda: shlex.join(train_command()),
        "sample_command": lambda: shlex.join(module_command("clipgan.sample")),
        "keys": _described_keys,
        "if_listed": lambda name, names, value: value if name in names else None,
        **more,
    }.items():
        register(name, resolver, replace=True)


def compose_config(overrides: Sequence[str]) -> Config:
    """The configuration of `train.py` with these overrides.

    Raises:
        UserError: see `from_yaml` and `refuse_flags`.
        HydraException: an unknown key, group or option.
    """
    from hydra import compose, initialize_config_dir

    refuse_flags(overrides)
    with initialize_config_dir(str(conf()), **version_base()):
        config = from_yaml(compose("config", overrides=quote_paths(overrides)))
    refuse_unread(config, map(key_of, overrides))
    return config


def with_overrides(config: Config, overrides: Sequence[str]) -> Config:
    """A recorded configuration with some keys, and options of groups, as on the command line of `train.py`.

    Raises:
        UserError, HydraException: see `compose_config`.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    node = OmegaConf.create(plain(config))
    parser = OverridesParser.create()
    for written in quote_paths(overrides):
        override = parser.parse_override(written)
        group, _, package = key_of(written).partition("@")
        if (conf() / group).is_dir():
            with initialize_config_dir(str(conf()), **version_base()):
                composed = compose("config", overrides=[written])
            section = package or group
            OmegaConf.update(node, section, OmegaConf.select(composed, section), merge=False)
        else:
            OmegaConf.update(node, group, override.value())
    return from_yaml(node)


def version_base() -> dict[str, Any]:
    """The argument `version_base` of Hydra's entry points: Hydra 1.3 needs it, and later versions warn of it."""
    import hydra

    return {"version_base": "1.3"} if hydra.__version__.startswith("1.3.") else {}


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
        UserError: an override has no key, a path is empty, which would be the working directory, or a group gets no
            name.
    """
    for override in flags_and_overrides(arguments)[1]:
        _refuse_no_value(override)
        refuse_unusable(override)
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


def _described_keys(*keys: str) -> str:
    """A line for each key that is named or lies in a named section; without names, for each key outside the groups."""
    if not keys:
        groups = [path.name for path in conf().iterdir() if path.is_dir()]
        return listing(values_of(Config, skipped=[*groups, "simclr"]))
    return listing({key: meaning for key, meaning in values_of(Config).items() if is_listed(key, keys)})


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


def first_process() -> bool:
    """Whether this is the only process of a training, or the first of torchrun's: only this process prints."""
    return "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("RANK", "0") == "0"


def under_torchrun(arguments: Sequence[str]) -> list[str]:
    """Arguments that a process of torchrun adds to its command line: only the first process has an output folder.

    Raises:
        UserError: torchrun has started a sweep.
    """
    if "RANK" not in os.environ or "TORCHELASTIC_RUN_ID" not in os.environ:
        return []
    if {"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(arguments):
        if not first_process():
            sys.exit(1)  # the first one says it
        raise UserError(
            "torchrun starts one training, and a sweep starts its own processes: "
            f"{shlex.join(train_command())} -m processes=N ..., with N for each training"
        )
    if first_process():
        return []
    from clipgan.base.console import console

    console.quiet = True
    return ["hydra.run.dir=.", "hydra.output_subdir=null", "hydra/job_logging=none", "hydra/hydra_logging=none"]


def _refuse_deleted_folder() -> None:
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UserError("the working directory has been deleted: change into another one with cd DIR") from None


def helped(text: str | None) -> bool:
    """Print a command's help if its arguments ask for it, and say whether they do."""
    asked = bool({"-h", "--help"} & {*sys.argv[1:]})
    if asked:
        print(text)
    return asked


@contextmanager
def messages_not_tracebacks(
    folder_key: str = "hydra.run.dir", further_keys: Callable[[], Iterable[str]] = tuple
) -> Iterator[None]:
    """Around an entry point: a user's mistake ends it with one message and status 1.

    Args:
        folder_key: the setting that chooses the output folder, for the message when it cannot be written.
        further_keys: names keys that this package does not know, for a suggestion.

    Set HYDRA_FULL_ERROR=1 to see the traceback all the same.
    """
    from hydra.errors import HydraException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException

    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        yield
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra lets exceptions through as they are, and they are shown here
    try:
        _refuse_deleted_folder()
        yield
    except OverrideParseException as error:
        key, _, value = str(error.override).partition("=")
        example = f"{key}={quoted(value)}"
        example = shlex.quote(example) if set(example) & set('"$`\\!') else f'"{example}"'
        sys.exit(printable(f"{error.override} cannot be read ({first_line(error)}): {HOW_TO_QUOTE}, as in {example}"))
    except (UserError, DivergenceError) as error:
        sys.exit(printable(str(error)))
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(printable(described(error, further_keys())))
    except ValueError as error:
        if (message := of_hydras_value_error(error, sys.argv[1:])) is None:
            raise
        sys.exit(printable(message))
    except OSError as error:
        if (message := system_message(error, folder_key)) is None:
            raise
        sys.exit(message)
    finally:
        del os.environ["HYDRA_FULL_ERROR"]
