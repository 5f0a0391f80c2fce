"""The command line's side of the commands: composing overrides, and showing mistakes."""

import functools
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from clipgan.base import out_of_memory
from clipgan.base.composing import composing
from clipgan.base.errors import DivergenceError, UserError
from clipgan.base.installed import conf, module_command, train_command
from clipgan.base.standard_streams import open_missing
from clipgan.base.text import first_line, printable
from clipgan.config import Config, from_yaml, plain, refuse_unread
from clipgan.config.arguments import SEARCH_PATH, key_of, own_folders, quote_paths, quoted
from clipgan.config.identity import is_listed, not_in_identity
from clipgan.config.meanings import listing, values_of
from clipgan.config.measure_registry import direction_of
from clipgan.config.mistakes import described, of_hydras_value_error, of_refusal, refuse_flags
from clipgan.config.options import groups
from clipgan.config.own_files import refuse_misread, unreadable
from clipgan.config.system_refusals import system_message

HOW_TO_QUOTE = (
    "a value with any of & # ( ) [ ] { } ; = , ' or a letter beyond ASCII needs quotes inside the shell's quotes"
)
COMMAS = re.compile(r"^,|,,|,$")  # which separate nothing
KEY = re.compile(r"(\+{0,2}|~)[\w./:@$-]+")  # of an override, as Hydra's grammar has it


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


def compose_config(overrides: Sequence[str], further_keys: Iterable[str] = ()) -> Config:
    """The configuration of `train.py` with these overrides.

    Args:
        overrides: KEY=VALUE.
        further_keys: a command's own settings, which an unknown key may be meant to be.

    Raises:
        UserError: an unknown key, group or option; see also `from_yaml`, `refuse_flags` and `refuse_misread`.
    """
    refuse_flags(overrides)
    with mistakes_as_user_errors(overrides, lambda: further_keys):
        config = from_yaml(_composed(quote_paths(overrides)))
    refuse_unread(config, map(key_of, overrides))
    return config


def with_overrides(config: Config, overrides: Sequence[str], further_keys: Iterable[str] = ()) -> Config:
    """A recorded configuration with some keys, and options of groups, as on the command line of `train.py`.

    Args:
        config: the recorded one.
        overrides: KEY=VALUE.
        further_keys: see `compose_config`.

    Raises:
        UserError: see `compose_config`.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    node = OmegaConf.create(plain(config))
    parser = OverridesParser.create()
    with mistakes_as_user_errors(overrides, lambda: further_keys):
        written = quote_paths(overrides)
        places = [line for line in written if key_of(line) == SEARCH_PATH]
        for line in (line for line in written if line not in places):
            override = parser.parse_override(line)
            group, _, package = key_of(line).partition("@")
            if group in groups() and not package and group not in node:
                raise UserError(f"{line} is not read here: give the settings that it chooses one by one")
            if (conf() / group).is_dir():
                section = package or group
                OmegaConf.update(node, section, OmegaConf.select(_composed([*places, line]), section), merge=False)
            else:
                OmegaConf.update(node, group, override.value())
    changed = from_yaml(node, further_keys)
    refuse_unread(changed, map(key_of, overrides))
    return changed


def _composed(overrides: list[str]) -> Any:
    from hydra import compose

    refuse_misread(own_folders(overrides))
    with composing(conf()):
        return compose("config", overrides=overrides)


def _described_keys(*keys: str) -> str:
    """A line for each key that is named or lies in a named section; without names, for each key outside the groups."""
    if not keys:
        groups = [path.name for path in conf().iterdir() if path.is_dir()]
        return listing(values_of(Config, skipped=[*groups, "simclr"]))
    return listing({key: meaning for key, meaning in values_of(Config).items() if is_listed(key, keys)})


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
def mistakes_as_user_errors(
    arguments: Sequence[str], further_keys: Callable[[], Iterable[str]] = tuple
) -> Iterator[None]:
    """Turn what Hydra, OmegaConf or PyYAML refuses in the block into a UserError with one message.

    Args:
        arguments: of the command line.
        further_keys: names keys that this package does not know, for a suggestion.
    """
    from hydra.errors import HydraException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        yield
    except OverrideParseException as error:
        raise UserError(_of_unreadable_override(error.override, first_line(error))) from error
    except HydraException as error:
        raise UserError(described(error, further_keys(), own_folders(arguments))) from error
    except OmegaConfBaseException as error:
        raise UserError(of_refusal(error, further_keys())) from error
    except (YAMLError, ValueError) as error:
        message = unreadable(error, own_folders(arguments)) or of_hydras_value_error(error, arguments)
        if message is None:
            raise
        raise UserError(message) from error


def _of_unreadable_override(override: object, reason: str) -> str:
    key, _, value = str(override).partition("=")
    if not KEY.fullmatch(key):
        return f"{override} cannot be read: {key} is no key; write KEY=VALUE, and a list as a whole, as in KEY=[A,B]"
    if COMMAS.search(value) and not set(value) & set("[]{}()'\""):
        return f"{override} cannot be read: a value is missing beside a comma; write them as in {key}=A,B"
    example = f"{key}={quoted(value)}"
    example = shlex.quote(example) if set(example) & set('"$`\\!') else f'"{example}"'
    return f"{override} cannot be read ({reason}): {HOW_TO_QUOTE}, as in {example}"


@contextmanager
def messages_not_tracebacks(
    folder_key: str = "hydra.run.dir", further_keys: Callable[[], Iterable[str]] = tuple
) -> Iterator[None]:
    """Around an entry point: a user's mistake ends it with one message and status 1, and Ctrl-C ends it with one line.

    Args:
        folder_key: the setting that chooses the output folder, for the message when it cannot be written.
        further_keys: names keys that this package does not know, for a suggestion.

    Set HYDRA_FULL_ERROR=1 to see the traceback all the same.
    """
    open_missing()
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        yield
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra lets exceptions through as they are, and they are shown here
    try:
        _refuse_deleted_folder()
        with mistakes_as_user_errors(sys.argv[1:], further_keys), out_of_memory.told():
            yield
    except (UserError, DivergenceError) as error:
        sys.exit(printable(str(error)))
    except OSError as error:
        if (message := system_message(error, folder_key)) is None:
            raise
        sys.exit(message)
    except KeyboardInterrupt:  # the interpreter then ends by SIGINT, so that a shell's loop ends, too
        sys.excepthook = functools.partial(_tell_ctrl_c, sys.excepthook)
        raise
    finally:
        del os.environ["HYDRA_FULL_ERROR"]


def _tell_ctrl_c(others: Callable[..., Any], kind: type[BaseException], *error: Any) -> None:
    """Show the error that ends the process: Ctrl-C in one line; others are of a program around the command."""
    if issubclass(kind, KeyboardInterrupt):
        print("ended by Ctrl-C", file=sys.stderr)
    else:
        others(kind, *error)
