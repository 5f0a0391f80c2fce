"""From YAML to the dataclasses, and from the dataclasses to plain values."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clipgan.base.errors import UserError
from clipgan.base.secrets import remember, without_passwords
from clipgan.config.checks import require
from clipgan.config.equal_points import refuse_equal_points
from clipgan.config.identity import FOR_GANS_ONLY, is_listed
from clipgan.config.meanings import booleans
from clipgan.config.mistakes import of_refusal
from clipgan.config.training import Config


def from_yaml(node: Any, further_keys: Iterable[str] = ()) -> Config:
    """Turn a composed OmegaConf node into a `Config`: the door, where all values are checked.

    Args:
        node: an OmegaConf DictConfig (or a plain mapping) with every key of `Config` that has no default.
        further_keys: a command's own settings, which an unknown key may be meant to be.

    Raises:
        UserError: an unknown key, a value of the wrong type, or a value out of range; the message quotes it.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        node = _as_node(node)
        _check_terms(node)
        written: Any = OmegaConf.to_container(node, resolve=False)  # a key may refer to a missing one
        flat = flatten(written)
        missing = sorted(key for key, value in flat.items() if value == "???")
        if missing:
            raise UserError(f"{missing[0]} is missing: give {missing[0]}=VALUE")
        merged = OmegaConf.merge(_typed_keys(), node)
        _check_lists(flat)
        _check_booleans(functools.partial(OmegaConf.select, node))
        return _to_config(merged)
    except OmegaConfBaseException as error:
        raise UserError(_of_reference(node, error) or of_refusal(error, further_keys)) from error


def point_check(node: Any, given: Sequence[str] = ()) -> Callable[[Mapping[str, Any]], None]:
    """Return a check of the points of a sweep that differ from a configuration in the values of some keys.

    The configuration is typed once, and a point then takes a few milliseconds; `from_yaml` takes ten times as long.

    Args:
        node: a composed OmegaConf DictConfig. Each call of the check must set the same keys.
        given: keys and groups of the command line besides these.

    Raises:
        UserError: see `from_yaml`; the check raises it too.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        node = _as_node(node)
        _check_terms(node)
        merged = OmegaConf.merge(_typed_keys(), node)
        _check_booleans(functools.partial(OmegaConf.select, node))
    except OmegaConfBaseException as error:
        raise UserError(_of_reference(node, error) or of_refusal(error)) from error

    references = _references(merged)
    checked: dict[frozenset[tuple[str, str]], Mapping[str, Any]] = {}

    def check(values: Mapping[str, Any]) -> None:
        try:
            for key, value in values.items():
                OmegaConf.update(merged, key, value)
            _check_booleans(flatten(values).get)
            config = _to_config(merged)
            refuse_unread(config, (*given, *values))
            refuse_equal_points(config, values, {**references, **values}, checked)
        except OmegaConfBaseException as error:
            raise UserError(_of_reference(merged, error) or of_refusal(error)) from error

    return check


def _of_reference(node: Any, error: Exception) -> str | None:
    """The message for the first key that refers to nothing, or to itself: OmegaConf may name one that refers to it.

    Args:
        node: an OmegaConf DictConfig.
        error: OmegaConf's.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import InterpolationResolutionError, InterpolationValidationError

    if not isinstance(error, InterpolationResolutionError):
        return None
    for key, text in _references(node).items():
        try:
            OmegaConf.select(node, key)
        except InterpolationValidationError:  # it leads to a value of another type
            continue
        except InterpolationResolutionError as found:
            return f"{key}={text} is not allowed: {str(found).splitlines()[0]}"
    return None


def _references(node: Any) -> dict[str, Any]:
    """The dotted keys of an OmegaConf DictConfig whose values refer to others, and these values as they are written."""
    from omegaconf import OmegaConf

    written: Any = OmegaConf.to_container(node, resolve=False)
    return {key: text for key, text in flatten(written).items() if "${" in str(text)}


def _as_node(given: Any) -> Any:
    """OmegaConf's node for a mapping; a node stays as it is, because OmegaConf takes long to copy one."""
    from omegaconf import OmegaConf

    return given if OmegaConf.is_config(given) else OmegaConf.create(given)


@functools.cache
def _typed_keys() -> Any:
    """The types of all keys; nothing changes them, because a merge copies its first argument."""
    from omegaconf import OmegaConf

    return OmegaConf.structured(Config)


def _check_terms(node: Any) -> None:
    from omegaconf import OmegaConf

    for phase in ("generator", "discriminator"):
        terms = OmegaConf.select(node, f"loss.{phase}")
        require(terms is None or OmegaConf.is_dict(terms), f"loss.{phase}", terms, "a mapping of spaces")
        for space, pairs in (terms or {}).items():
            require(
                OmegaConf.is_dict(pairs), f"loss.{phase}.{space}", pairs, "a mapping, such as {it: {}, ii: {h: 0.1}}"
            )


def _check_lists(flat: Mapping[str, Any]) -> None:
    """Refuse lists and mappings within a list, which OmegaConf lets through."""
    for key, value in flat.items():
        nested = isinstance(value, list) and any(isinstance(each, (list, dict)) for each in value)
        require(not nested, key, value, "a plain list")


def _check_booleans(value_of: Callable[[str], Any]) -> None:
    """Refuse numbers in place of true and false, which OmegaConf lets through; 0 and 1 may stand for them."""
    for key in booleans(Config):
        value = value_of(key)
        with suppress(TypeError, ValueError):  # null; a word, which OmegaConf knows or refuses
            require(int(value) in (0, 1), key, value, "true or false")


def _to_config(merged: Any) -> Config:
    from omegaconf import OmegaConf

    config = OmegaConf.to_object(merged)
    assert isinstance(config, Config)
    remember(config.mlflow.tracking_uri)
    return config


def from_record(node: Any) -> Config:
    """Read the configuration that a checkpoint or a logged model carries.

    A recorded configuration has plain values only. A reference such as `${oc.env:NAME}` would bring a secret of this
    process into a message, so the file is refused.

    Args:
        node: a plain mapping, or an OmegaConf DictConfig.

    Raises:
        UserError: a value is a reference, or `from_yaml` refuses the values.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        written: Any = OmegaConf.to_container(_as_node(node), resolve=False)
        flat = flatten(written)
    except OmegaConfBaseException as error:
        raise UserError(of_refusal(error)) from error
    except RecursionError as error:
        raise UserError("the configuration that comes with a file is nested too deeply") from error
    for key, value in flat.items():
        if "${" in str(value):
            raise UserError(f"{key}={value} is refused: the configuration that comes with a file must not refer to "
                            "anything")  # fmt: skip
    return from_yaml(written)


def refuse_unread(config: Config, given: Iterable[str]) -> None:
    """Refuse keys that the task or the data set does not read.

    Args:
        config: the run.
        given: the keys and groups of its command line.

    Raises:
        UserError: names the first one that would change nothing.
    """
    given, data = list(given), config.data
    drawn = data.path is not None and data.name == "shapes"
    if drawn and "data.path" in given and "data" not in given:  # a sweep over data sets has both, for each of them
        raise UserError(
            f"data.path={data.path} is not read with data=shapes, which draws its images: give data=NAME, too"
        )
    if config.simclr is None:
        return
    for key in given:
        if is_listed(key, FOR_GANS_ONLY):
            raise UserError(f"{key} is not read by task=simclr, which trains no GAN: leave it out")
        if key == "simclr.classes" and config.data.name != "shapes":
            raise UserError(f"{key} is not read with data={config.data.name}, which has its own classes: leave it out")


def plain(config: Config) -> dict[str, Any]:
    """The configuration as nested plain values, without the password of the tracking URI."""
    content = asdict(config)
    uri = content["mlflow"]["tracking_uri"]
    content["mlflow"]["tracking_uri"] = uri and without_passwords(uri)
    return content


def write_yaml(config: Config, path: Path) -> Path:
    """Write the configuration to a YAML file, as `plain` has it; return the path."""
    from omegaconf import OmegaConf

    OmegaConf.save(OmegaConf.create(plain(config)), path)
    return path


def flatten(config: Config | Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as dotted keys and plain values, for the parameters of a tracker."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, child in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), child)
        else:
            flat[prefix] = value

    walk("", config if isinstance(config, Mapping) else plain(config))
    return flat
