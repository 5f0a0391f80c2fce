"""Say what a command line has wrong, with a suggestion, where Hydra and OmegaConf would use their own terms."""

import re
import shlex
import traceback
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from clipgan.base.errors import UserError
from clipgan.base.installed import conf, train_command
from clipgan.base.text import listed
from clipgan.config.identity import is_listed
from clipgan.config.meanings import meanings, section_of
from clipgan.config.options import close, groups, nearest, no_such_option, options_of, options_with
from clipgan.config.training import Config

NO_KEY = re.compile(r"Could not override '(?P<key>[^']+)'")
NO_OPTION = re.compile(r"(In '[^']+': )?Could not (find|load) '")
IN_FILE = re.compile(r"In '[^']+/[^']+': ")  # GROUP/NAME
IN_FILE_REFUSED = re.compile(r"\w+ raised while composing config:\n")
CONVERTED = re.compile(r"Value '(?P<value>.*)' of type '\w+' could not be converted to (?P<kind>\w+)")
NO_NAME = re.compile(  # what Hydra takes for no text
    r"(^|[,\[])\s*([+-]?\d[\d.eE+-]*|(?i:true|false|null))\s*([,\]]|$)"
)
NO_BOOLEAN = re.compile(r"Value '(?P<value>.*)' is not a valid bool")
NO_SECTION = re.compile(
    r"(?:Merge error|Invalid type assigned): \w+ is not a subclass of (?P<kind>\w+)\. value: (?P<value>.*)"
)
NO_NULL = re.compile(r"Incompatible value 'None'|field '.*' is not Optional")
NO_TEXT = re.compile(r"Cannot convert '\w+' to string: '(?P<value>.*)'")
NO_VALUE = "has missing mandatory value"
NO_LIST = "is not a ListConfig"
LIST = re.compile(r"\[(.+)\]")
KINDS = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false"}
DIRECTORY, SEARCHED = ("--config-dir", "-cd"), "hydra.searchpath=[file://DIR]"
FLAGS = ("help", "hydra-help", "version", "cfg", "resolve", "package", "run", "multirun", "shell-completion",
         "config-path", "config-name", "config-dir", "experimental-rerun", "info")  # fmt: skip
HYDRAS_GROUPS = ("hydra.sweeper", "hydra.launcher", "hydra.job_logging", "hydra.hydra_logging")
MAPPINGS = ("{", "${", "'${", '"${')  # begin a value that may be a whole section
LENGTHS = ("kimg", "snapshot_kimg", "epochs", "snapshot_epochs")
LAFITES = {  # an option of LAFITE's or StyleGAN2's training script -> what sets it here
    "gamma": "model.r1_gamma",
    "itd": "S.D * C_it",
    "itc": "S.CLIP * C_it",
    "iid": "S.D * C_ii",
    "iic": "S.CLIP * C_ii",
    "temp": "loss.temperature.D and loss.temperature.CLIP",
    "lam": "loss.homologous=lam loss.heterologous=1-lam",
    "snap": "snapshot_kimg",
    "mirror": "data.x_flip",
    "mbstd": "model.mbstd_group",
    "aug": "the group augment",
    "freezed": "freeze_d",
    "gpus": "processes",
    "outdir": "hydra.run.dir",
}
WHY_WHOLE = ": metrics, checkpoints and sweeps count whole units; experiment=quick is a shorter first try"
NOT_MERGED = "Error merging override"  # Hydra's, for a value of a key of its own
FLAGS_EXCLUDE, NAME_WANTED = "Only one of --run, --multirun, --cfg", "Config group override must be a string"  # Hydra's
OUR_GROUPS = "'hydra/sweeper/study/"  # of samplers and pruners
SHOWN_KEYS = 12
SEARCH_PATH = "Config search path:"  # begins the part of Hydra's message that no user needs


def described(error: Exception, further_keys: Iterable[str] = (), folders: Iterable[Path] = ()) -> str:
    """The message for a mistake that Hydra has found.

    Args:
        error: Hydra's or OmegaConf's.
        further_keys: keys that this package does not know, such as those of sweeps.
        folders: the user's own, which may have options.
    """
    message = str(error).partition(SEARCH_PATH)[0].rstrip()
    place = found[0] if (found := IN_FILE.match(message)) else ""
    missing, options = getattr(error, "missing_cfg_file", None), getattr(error, "options", None)
    if isinstance(missing, str) and NO_OPTION.match(message):
        options = options or options_of(missing.rpartition("/")[0], folders)  # the error about a list of names has none
    if isinstance(missing, str) and options:
        return place + no_such_option(missing, options)
    if IN_FILE_REFUSED.match(message, len(place)) and error.__context__ is not None:
        return place + of_refusal(error.__context__, further_keys)
    if (not message or message.startswith(NOT_MERGED)) and error.__cause__ is not None:  # OmegaConf's error says why
        return of_refusal(error.__cause__, further_keys)
    if f"override {OUR_GROUPS}" in message:  # the defaults list has another sweeper
        return "sampler and pruner are groups of hydra/sweeper=study: leave out the choice of another hydra/sweeper"
    found = NO_KEY.match(message)
    if found is None:
        return message
    inner = str(getattr(error.__cause__, "full_key", ""))  # the value is a mapping, and a key in it is unknown
    return no_such_key(inner if is_listed(inner, [found["key"]]) else found["key"], further_keys)


def no_such_key(key: str, further_keys: Iterable[str] = ()) -> str:
    """The message for an unknown key, or for one that the chosen task lacks."""
    own = meanings(Config)
    if key in own:
        without = " without task=simclr" if _is_simclr(key) else ""
        having = options_with(key)
        others = f"; options of {key.partition('.')[0]} that have it: {', '.join(having)}" if having else ""
        return f"{key} is no key of this configuration{without}{others}"
    if key in LAFITES:
        return f"there is no key {key}: LAFITE's {key} is {LAFITES[key]} here"
    if "@" in key and _is_group(key):
        return f"the chosen options have no {key} to replace: +{key}=NAME adds it"
    group = key.partition(".")[0]
    if group in groups() and group not in {*own, "hydra"}:  # its options have no section of their own
        return (
            f"there is no key {key}: {group} is a group, which {group}=NAME chooses from; a file there must begin with"
            " `# @package _global_`"
        )
    other = [name for name in (*own, *groups(), *further_keys) if not is_listed(key, [name])]
    return f"there is no key {key}{_meant(key, other)} {shlex.join(train_command())} --help lists the keys"


def _meant(key: str, known: Sequence[str]) -> str:
    """End a sentence with a suggestion: a key of the same section, or the one key that ends so, or a close one."""
    section, _, name = key.rpartition(".")
    inside = [each.removeprefix(f"{section}.") for each in known if each.rpartition(".")[0] == section]
    if section and inside:
        found = nearest(name, inside)
        if found is None:
            return f". Keys of {section}: {listed(inside, SHOWN_KEYS)}."
        return f": did you mean {section}.{found}?"
    ends = (f".{key}", f".{key.replace('_', '.')}")
    ended = [each for each in (*known, "hydra.run.dir") if each.endswith(ends)]
    return f": did you mean {ended[0]}?" if len(ended) == 1 else close(key, known)


def of_hydras_value_error(error: ValueError, arguments: Sequence[str]) -> str | None:
    """The message for what Hydra refuses with a ValueError: flags, names, defaults lists; None: it is not Hydra's.

    Args:
        error: Hydra's may name neither group nor value.
        arguments: of the command line.
    """
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    if not frame.f_globals.get("__name__", "").startswith("hydra."):
        return None
    if str(error).startswith(FLAGS_EXCLUDE):
        return f"{error}; hydra.sweeper.dry_run=true shows a sweep's points"
    if str(error).startswith(NAME_WANTED):
        return _no_names([argument for argument in arguments if _gives_no_name(argument)])
    return str(error)


def refuse_unusable(override: str) -> None:
    """Refuse an override that Hydra would take, and then end with an error of its own code.

    Raises:
        UserError: it gives a whole section of Hydra's one value, or a group a list of numbers.
    """
    key, _, value = override.partition("=")
    key = key.lstrip("+")
    if key in HYDRAS_GROUPS and not value.startswith(MAPPINGS):
        raise UserError(
            f"{override} is not allowed: {key} is a section; {key.replace('.', '/')}=NAME chooses it, "
            f"{key}.NAME=VALUE sets a key in it"
        )
    if _is_group(key) and ("[[" in value or ("[" in value and NO_NAME.search(value))):
        raise UserError(_no_names([override]))


def refuse_removal(override: str, following: Sequence[str]) -> None:
    """Refuse an override that takes a setting away: the setting would silently get a default of the code.

    Args:
        override: as it was given.
        following: the keys and groups of the overrides behind it; a key may get another value there, but Hydra removes
            a group also where an option is chosen behind.

    Raises:
        UserError: it removes a key, a section or a group that has a meaning; the spaces of a loss may go.
    """
    key = override.lstrip("~").partition("=")[0]
    own, group = meanings(Config), _is_group(key)
    if group:
        removed = key in own or "@" in key or key in following
    else:
        removed = key in own and not any(is_listed(other, [key]) for other in following)
    if not removed:
        return
    if group:
        instead = f"{key}=NAME chooses another option"
    else:
        section = any(is_listed(name, [key]) for name in own if name != key)
        instead = f"give {key}{'.NAME' if section else ''}=VALUE, or {key}=null where it may be off"
    raise UserError(f"{override} is not allowed: no setting can be removed; {instead}")


def refuse_flags(overrides: Iterable[str]) -> None:
    """Refuse Hydra's flags where only overrides are read.

    Raises:
        UserError: an override begins with a dash.
    """
    for given in overrides:
        if given.startswith("-"):
            instead = f"; {SEARCHED} adds a folder of configuration files" if given.startswith(DIRECTORY) else ""
            raise UserError(f"{given} is a flag of the command line, and only overrides may stand here{instead}")


def refuse_unknown_flag(flag: str, further_keys: Callable[[], Collection[str]] = tuple) -> None:
    """Refuse a setting that is written as a flag.

    Args:
        flag: of the command line.
        further_keys: names keys that this package does not know, such as those of sweeps.

    Raises:
        UserError: it begins with two dashes and is none of Hydra's flags, or an abbreviation of one.
    """
    name, _, value = flag.removeprefix("--").partition("=")
    if not flag.startswith("--"):
        return
    own = name in meanings(Config) or _is_group(name)
    if not own and any(known.startswith(name) for known in FLAGS):
        return
    own = own or name in further_keys()
    instead = f"write {name}={value or 'VALUE'}" if own else no_such_key(name, further_keys())
    raise UserError(f"{flag} is not allowed: settings are KEY=VALUE, without dashes; {instead}")


def _gives_no_name(override: str) -> bool:
    """Whether an override gives a group a number, a boolean or null."""
    key, _, value = override.partition("=")
    return bool(NO_NAME.search(value)) and _is_group(key.lstrip("+"))


def _is_group(key: str) -> bool:
    group = key.partition("@")[0]
    return "/" in group or (conf() / group).is_dir()


def _no_names(overrides: Sequence[str]) -> str:
    return (
        f"{' or '.join(overrides) or 'an override'} is not allowed: the options of a group are names; a name that looks"
        " like a number needs quotes inside the shell's quotes, as in \"GROUP='1'\";"
        f" {shlex.join(train_command())} --help lists them"
    )


def of_refusal(error: BaseException, further_keys: Iterable[str] = ()) -> str:
    """The message for OmegaConf's error about a value."""
    reason = str(getattr(error, "msg", None) or error).splitlines()[0]
    key = getattr(error, "full_key", None)
    if key and reason.startswith("Key '"):
        return no_such_key(key, further_keys)
    return _of_value(key, reason, getattr(error, "value", None))


def _of_value(key: str | None, reason: str, value: Any = None) -> str:
    """The message for a value that OmegaConf has refused.

    Args:
        key: its dotted key.
        reason: the first line of OmegaConf's message.
        value: the value, if OmegaConf has told it apart from its message.
    """
    section = NO_SECTION.match(reason)
    key = key or (section and section_of(Config, section["kind"]))
    if not key:
        return reason
    if NO_VALUE in reason:
        return f"{key} is missing: a file that --config-name chooses gets it from `config` in its defaults list"
    refused = _refused(key, reason, value)
    return f"{key}={refused[0]} is not allowed: {key} {refused[1]}" if refused else f"{key}: {reason}"


def _refused(key: str, reason: str, value: Any) -> tuple[Any, str] | None:
    """Return the value of a key and what it must be; None: OmegaConf's message is of another kind."""
    if NO_LIST in reason:
        return value, f"must be a list, as in {key}=[{value}]"
    if NO_NULL.match(reason):
        return "null", "needs a value"
    for pattern in (CONVERTED, NO_BOOLEAN):
        if (found := pattern.match(reason)) and (kind := found.groupdict().get("kind", "Boolean")) in KINDS:
            return found[
                "value"
            ], f"must be {KINDS[kind]}{WHY_WHOLE if key in LENGTHS else ''}{_several(key, found['value'])}"
    if found := NO_TEXT.match(reason):
        return found["value"], "must be a text"
    if found := NO_SECTION.match(reason):
        inside = [name.removeprefix(f"{key}.") for name in meanings(Config) if name.rpartition(".")[0] == key]
        name = f": give {key}.NAME=VALUE with a NAME of {', '.join(inside)}" if inside else ""
        shown = "null" if found["value"] == "None" else found["value"]
        return shown, "must be a text" if found["kind"] == "str" else f"is a section{name}"
    return None


def _several(key: str, value: str) -> str:
    """Say how a sweep tries the values of a list that stands in place of one value."""
    inside = LIST.fullmatch(value)
    return f"; a sweep tries several: -m {key}={inside[1].replace(' ', '')}" if inside else ""


def _is_simclr(key: str) -> bool:
    return key.partition(".")[0] in ("simclr", "epochs", "snapshot_epochs")
