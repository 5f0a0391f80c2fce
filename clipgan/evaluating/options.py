"""The settings of `python -m clipgan.evaluate`: its own KEY=VALUE arguments, and overrides of the configuration."""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from clipgan.base import lookup
from clipgan.base.errors import UserError
from clipgan.config import MEASURES
from clipgan.config.arguments import key_of, own_folders
from clipgan.config.identity import is_listed
from clipgan.config.options import options_of
from clipgan.sampling.options import SampleOptions, parse_prompts, parse_seeds

OWN = ("run", "ckpt", "snapshots", "images", "captions", "prompts", "seeds", "metrics", "protocol", "out")
NAMES = ("fid", *MEASURES)  # of metrics


@dataclass(frozen=True)
class EvaluateOptions:
    """The settings; exactly one of `run`, `ckpt` and `images` is given."""

    run: str | None = None  # the id of an MLflow run
    ckpt: tuple[Path, ...] = ()  # checkpoint files
    snapshots: bool = False  # whether all checkpoints of `run` are measured, not its last one
    images: Path | None = None  # a folder or a ZIP archive of pictures
    captions: Path | None = None  # a file with the captions of `images`
    prompts: tuple[str, ...] = ()  # measure the pictures that clipgan.sample draws of these prompts; (): the protocol's
    seeds: tuple[int, ...] = tuple(range(8))  # seeds of these pictures
    metrics: tuple[str, ...] | None = None  # names of measures; None: those that the end of a training has
    protocol: str | None = None  # option of conf/metrics or of an own folder; None: the run's, or the default
    out: Path | None = None  # the folder of the results
    overrides: tuple[str, ...] = ()  # of the configuration, as for train.py

    def gives(self, key: str) -> bool:
        """Whether the overrides give a key."""
        return any(key_of(override) == key for override in self.overrides)

    def gives_any(self, *sections: str) -> bool:
        """Whether the overrides give one of these groups or sections, or a key in one."""
        return any(is_listed(key_of(override), sections) for override in self.overrides)

    def value(self, key: str) -> str | None:
        """The text of the last override of a key; None without one."""
        found = [override.partition("=")[2] for override in self.overrides if key_of(override) == key]
        return found[-1] if found else None


def parse(arguments: Sequence[str]) -> EvaluateOptions:
    """Parse and check the arguments of a command line; keys that are not the command's own are overrides.

    Raises:
        UserError: a value is not allowed, or settings contradict; the message quotes them.
    """
    own: dict[str, str] = {}
    overrides: list[str] = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise UserError(f"{argument!r} is not a setting: write KEY=VALUE, such as ckpt=FILE metrics=[fid,kid]")
        if key in OWN and not value.strip():
            raise UserError(f"{key}= is empty; give {key}=VALUE")
        if key in OWN:
            own[key] = value
        else:
            overrides.append(argument)
    _check_together(own)
    protocols = options_of("metrics", own_folders(overrides))
    options = EvaluateOptions(
        run=own.get("run"),
        ckpt=_checkpoints(own["ckpt"]) if "ckpt" in own else (),
        snapshots=_all_snapshots(own.get("snapshots")),
        images=_existing("images", own.get("images")),
        captions=_existing("captions", own.get("captions")),
        prompts=tuple(parse_prompts("prompts", own["prompts"], "utf-8")) if "prompts" in own else (),
        seeds=parse_seeds("seeds", own["seeds"]) if "seeds" in own else SampleOptions.seeds,
        metrics=parse_metrics(own["metrics"], protocols) if "metrics" in own else None,
        protocol=_protocol(own.get("protocol"), protocols),
        out=Path(own["out"]) if "out" in own else None,
        overrides=tuple(overrides),
    )
    if len(options.prompts) * len(options.seeds) == 1:
        given = f"prompts={own['prompts']} and seeds={own['seeds']}"
        raise UserError(f"{given} give one picture, and metrics need at least 2")
    return options


def _check_together(own: dict[str, str]) -> None:
    sources = [f"{key}={own[key]}" for key in ("run", "ckpt", "images") if key in own]
    if len(sources) != 1:
        what = f"{' and '.join(sources)} are given" if sources else "nothing to measure is given"
        raise UserError(f"{what}: give exactly one of run=RUN_ID (of MLflow), ckpt=FILE and images=FOLDER|ZIP")
    for key, needed in (("captions", "images"), ("snapshots", "run"), ("seeds", "prompts")):
        if key in own and needed not in own:
            raise UserError(f"{key}={own[key]} is not read without {needed}: leave it out, or give {needed} as well")
    if "prompts" in own and "images" in own:
        raise UserError(f"prompts={own['prompts']} is not read with images: give their captions with captions=FILE")


def parse_metrics(text: str, protocols: Collection[str] = ()) -> tuple[str, ...]:
    """Parse a list of measures, `[fid,kid]` or `fid,kid`.

    Args:
        text: the list.
        protocols: the names that are no measures but protocols, which the message says.

    Raises:
        UserError: a name is unknown; lists the names, the closest first.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.strip("[]").split(",") if name.strip()))
    if not names:
        raise UserError(f"metrics={text} names no metric; the metrics are {', '.join(NAMES)}")
    for name in names:
        if name in protocols:
            raise UserError(f"metrics={text}: {name} is a protocol, not a metric: give protocol={name}")
        if name not in NAMES:
            close = difflib.get_close_matches(name, NAMES, n=3, cutoff=0.4)
            hint = f"; close names: {', '.join(close)}" if close else ""
            raise UserError(f"metrics={text}: there is no metric {name}{hint}; the metrics are {', '.join(NAMES)}")
    return names


def _protocol(text: str | None, protocols: Collection[str]) -> str | None:
    if text is not None and text not in protocols:
        raise UserError(f"protocol={text} is not allowed: protocol must be one of {', '.join(protocols)}")
    return text


def _checkpoints(text: str) -> tuple[Path, ...]:
    whole = Path(text)  # a comma may be a part of a file's name
    try:
        is_one = lookup.exists(whole)
    except OSError:  # many names may be too long for one
        is_one = False
    paths = (whole,) if is_one else tuple(Path(part) for part in text.split(",") if part.strip())
    if not paths:
        raise UserError(f"ckpt={text} names no file; give checkpoint files, with commas between")
    for path in paths:
        if not lookup.is_file(path):
            raise UserError(f"ckpt={path} {lookup.why_no_file(path)}; give checkpoint files, with commas between")
    return paths


def _all_snapshots(text: str | None) -> bool:
    if text not in (None, "all", "last"):
        raise UserError(f"snapshots={text} is not allowed: snapshots must be all or last")
    return text == "all"


def _existing(key: str, text: str | None) -> Path | None:
    if text is not None and not lookup.exists(text):
        raise UserError(f"{key}={text} does not exist")
    return None if text is None else Path(text)
