"""Compute a study's identity: the task's config without its axes and without keys that do not matter."""

import hashlib
import json
import math
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from clipgan.base.secrets import without_passwords

MAX_READABLE = 40  # characters of axis names in a derived study name
# ${oc.env:NAME} or ${oc.env:NAME,DEFAULT}, where the default may be a reference itself
VARIABLE = re.compile(r"\$\{\s*oc\.env\s*:\s*(\w+)\s*(?:,((?:[^{}]|\{[^{}]*\})*))?\}")
RELATIVE = re.compile(r"\$\{(\.+)(?=\w)")  # begins ${.NAME} or ${..NAME}
# In the name of a variable. It finds more than `secrets.NAME`, which is for settings: those may be called `seed_key`.
SECRET = re.compile(r"(?i)secret|passw|pwd|credential|(?:token|key)s?$")


def identity_of(
    config: DictConfig,
    axes: Sequence[str],
    ignored: Sequence[str],
    fixed: Sequence[str] = (),
    unset: Sequence[str] = (),
    partial: Collection[str] = (),
) -> dict[str, Any]:
    """Collect the settings that all trials of a study share: dotted keys and plain values.

    Args:
        config: the composed config. References to other keys stay as they are written; those to variables of the
            environment, `${oc.env:NAME}`, become the variables' values, except secrets.
        axes: names of the swept keys and groups; their values are not part of the identity.
        ignored: dotted key prefixes that do not matter, such as a cache directory.
        fixed: the overrides that all trials share. One that sets a key of a swept group, such as `loss.weight=2`,
            belongs to the identity.
        unset: the ones among them that `config` lacks, because only a swept group has their keys.
        partial: names of the axes that some points lack. The value that such a point has in their place belongs to the
            identity.
    """
    every = flat(OmegaConf.to_container(config, resolve=False))
    swept = [_path(axis) for axis in axes if axis not in partial]
    given = [path for path in map(_path_of, fixed) if path not in swept]
    every |= {_path_of(line): line.partition("=")[2] for line in unset}

    def belongs(key: str) -> bool:
        own = any(is_under(key, path) for path in given) or not any(is_under(key, path) for path in swept)
        return own and not any(is_under(key, prefix) for prefix in ("hydra", *ignored))

    own = {key: _with_variables(key, _with_absolute(key, value)) for key, value in every.items() if belongs(key)}
    return {"axes": sorted(axes), "config": own}


def derived_name(identity: Mapping[str, Any]) -> str:
    """Name a study by its axes and a digest of its identity, as in `h-3f2a91c0`: the same command finds it again."""
    readable = "-".join(re.sub(r"[^\w.]+", ".", axis) for axis in identity["axes"])[:MAX_READABLE] or "single"
    text = json.dumps(identity, sort_keys=True)
    return f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """List the differences of two identities, one phrase for each key; an axis of one alone has no value there."""
    found = []
    if old["axes"] != new["axes"]:
        found.append(f"axes are {_listed(new['axes'])}, the study's {_listed(old['axes'])}")
    missing = "(absent)"
    axes = [_path(axis) for axis in {*old["axes"]} ^ {*new["axes"]}]
    for key in sorted({*old["config"], *new["config"]}):
        if any(is_under(key, axis) for axis in axes):
            continue
        before, now = old["config"].get(key, missing), new["config"].get(key, missing)
        if before != now:
            found.append(f"{key} is {now}, the study's {before}")
    return found


def flat(node: Any) -> dict[str, Any]:
    """Flatten a nested mapping to dotted keys; an empty inner mapping counts as a value."""
    return dict(_flatten("", node))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "(none)"


def _flatten(prefix: str, node: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(node, Mapping) and node:
        for key, child in node.items():
            yield from _flatten(f"{prefix}.{key}" if prefix else str(key), child)
    else:
        yield prefix, _plain(node)


def _plain(value: Any) -> Any:
    """Convert to a JSON value in which 2 and 2.0 are equal."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return int(value) if value.is_integer() else value if math.isfinite(value) else repr(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _with_variables(key: str, value: Any) -> Any:
    """Replace the variables of the environment in a value: by their contents, or by the default of one that is not set.

    Secrets, and a variable without a content, stay as written.
    """
    if isinstance(value, Mapping):
        return {name: _with_variables(name, child) for name, child in value.items()}
    if isinstance(value, list):
        return [_with_variables(key, child) for child in value]
    if not isinstance(value, str) or SECRET.search(key):
        return value

    def content(variable: re.Match[str]) -> str:
        name = variable[1]
        if name in os.environ and not SECRET.search(name):
            return os.environ[name]
        default = (variable[2] or "").strip()
        if default and not SECRET.search(name):
            return VARIABLE.sub(content, default.strip("\"'"))
        return variable[0][:2] + VARIABLE.sub(content, variable[0][2:])  # its default may be another variable

    found = VARIABLE.sub(content, value)
    return value if found == value else without_passwords(found)


def _with_absolute(key: str, value: Any) -> Any:
    """Write the references of a value from the top: `${.name}` of `clip.model` is `${clip.name}`, the same setting."""
    if isinstance(value, list):
        return [_with_absolute(key, child) for child in value]
    if not isinstance(value, str):
        return value
    parts = key.split(".")
    return RELATIVE.sub(lambda dots: "".join(["${", *(f"{part}." for part in parts[: -len(dots[1])])]), value)


def _path(axis: str) -> str:
    """Return the config path that an axis sets: its package if it names one, else its key or group path."""
    key, _, package = axis.lstrip("+").partition("@")
    return package or key.replace("/", ".")


def _path_of(override: str) -> str:
    return _path(override.partition("=")[0].lstrip("+~"))


def is_under(key: str, prefix: str) -> bool:
    """Whether a key is a prefix, or lies in the section of this name."""
    return key == prefix or key.startswith(f"{prefix}.")
