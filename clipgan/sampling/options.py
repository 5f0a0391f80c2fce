"""The settings of `python -m clipgan.sample`: KEY=VALUE arguments, all checked before anything is loaded."""

import difflib
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipgan.base import lookup
from clipgan.base.errors import UserError
from clipgan.base.text import printable
from clipgan.config.arguments import own_folders
from clipgan.config.checks import text_encoding
from clipgan.config.mlflow import tracking_uri
from clipgan.config.options import options_of
from clipgan.inputs.data.limits import check_caption
from clipgan.inputs.data.text import read_lines

MAX_SEEDS = 10_000  # more are taken for a typing error
TEXT_FILES = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".md")  # a prompt with such an ending is a file name
INTERPOLATIONS = ("latent", "text")


@dataclass(frozen=True)
class SampleOptions:
    """The settings; a dot in a key is an underscore here."""

    prompts: list[str]
    image: Path | None = None  # a picture as a prompt, besides `prompts`
    run: str | None = None  # the id of an MLflow run; exactly one of `run` and `ckpt` is given
    ckpt: Path | None = None  # a checkpoint file
    encoding: str = "utf-8"  # of the file of prompts, unless it begins with a byte order mark
    seeds: tuple[int, ...] = tuple(range(8))  # seeds of latents and noise, the same for every prompt
    truncation: float = 1.0  # psi: 1 leaves styles unchanged, 0 replaces them by their average
    rerank: int | None = None  # number of pictures to keep for each prompt, the best by CLIP; None: all
    rerank_clip: str | None = None  # the judging CLIP: judge (the run's), or an option of clip; None: the guide
    rerank_clip_checkpoint: str | None = None  # the judging CLIP's weights
    interpolate: tuple[str, ...] = ()  # latent: from seed to seed; text: from prompt to prompt
    steps: int = 8  # pictures of an interpolation, both ends included
    out: Path | None = None  # the folder; None: samples/NAME, where NAME comes from the checkpoint's path
    clip_checkpoint: str | None = None  # the guiding CLIP's weights, if the file that the run used has moved
    device: str = "auto"  # auto | cpu | cuda | cuda:1 ...
    mlflow_tracking_uri: str = field(default_factory=tracking_uri)  # where to look for `run`
    hydra_searchpath: str | None = None  # own folders with an option of clip, as Hydra reads them: [file://DIR]

    @property
    def image_label(self) -> str | None:
        """What stands for a prompt at the pictures that are drawn like `image`; None without it."""
        return None if self.image is None else f"like {self.image.name}"

    @property
    def config_places(self) -> list[str]:
        """The override that says where the options of clip are; none for those of conf/ alone."""
        return [] if self.hydra_searchpath is None else [f"hydra.searchpath={self.hydra_searchpath}"]


def parse(arguments: Sequence[str]) -> SampleOptions:
    """Parse and check the arguments of a command line.

    Raises:
        UserError: a key is unknown, a value is not allowed, or settings contradict; the message quotes them.
    """
    given: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise UserError(f"{argument!r} is not a setting: write KEY=VALUE, such as prompts='a red bird' seeds=0-7")
        if key not in PARSERS:
            close = difflib.get_close_matches(key, PARSERS, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise UserError(f"{argument}: there is no setting {key}{hint}; the settings are {', '.join(PARSERS)}")
        if not value.strip():
            raise UserError(f"{key}= is empty; give {key}=VALUE")
        given[key] = value
    if not {"prompts", "image"} & given.keys():
        raise UserError(
            "prompts is missing: give prompts='a red bird;a plate of food', prompts=FILE (one per line) or image=FILE"
        )
    if ("run" in given) == ("ckpt" in given):
        what = f"run={given['run']} and ckpt={given['ckpt']} are both given" if "run" in given else "no model is given"
        raise UserError(f"{what}: give exactly one of run=RUN_ID (of MLflow) and ckpt=FILE")
    values: dict[str, Any] = {key.replace(".", "_"): PARSERS[key](key, value) for key, value in given.items()}
    encoding = values.get("encoding", SampleOptions.encoding)
    values["prompts"] = parse_prompts("prompts", given["prompts"], encoding) if "prompts" in given else []
    options = SampleOptions(**values)
    _check_together(options)
    return options


def _check_together(options: SampleOptions) -> None:
    if options.rerank is not None and options.rerank > len(options.seeds):
        raise UserError(f"rerank={options.rerank} is not allowed: there are only {len(options.seeds)} seeds")
    if options.rerank is None and (options.rerank_clip or options.rerank_clip_checkpoint):
        raise UserError(f"rerank_clip={options.rerank_clip} needs rerank=N, the number of pictures to keep")
    if options.hydra_searchpath is not None and options.rerank_clip is None:
        raise UserError(f"hydra.searchpath={options.hydra_searchpath} is not read without rerank_clip: leave it out")
    judges = ["judge", *options_of("clip", own_folders(options.config_places))]
    judges.remove("open_clip")  # it needs a name
    if options.rerank_clip not in (None, *judges):
        raise UserError(
            f"rerank_clip={options.rerank_clip} is not allowed: rerank_clip must be one of {', '.join(judges)}"
        )
    if "latent" in options.interpolate and (options.rerank or len(options.seeds)) < 2:
        one = "rerank=1 keeps one" if options.rerank else f"seeds={options.seeds[0]} is one"
        raise UserError(f"interpolate=latent goes from seed to seed and needs two seeds, but {one}")
    if options.image is not None and (options.rerank or options.interpolate):
        raise UserError(f"image={options.image} is not allowed with rerank or interpolate, which need texts")
    if options.image_label in options.prompts:
        raise UserError(
            f"prompts={options.image_label} is not allowed beside image=: it is the name of the picture's row"
        )
    if "text" in options.interpolate and len(options.prompts) < 2:
        raise UserError(f"interpolate=text goes from prompt to prompt and needs two, not prompts={options.prompts[0]}")


def parse_prompts(key: str, text: str, encoding: str) -> list[str]:
    """Parse prompts between semicolons, or read them from the lines of a file; drop repeated ones.

    Raises:
        UserError: the file is missing or is not text, there is no prompt, or one is too long.
    """
    path = Path(text)
    try:
        is_file = lookup.is_file(path)
    except OSError as error:  # a prompt may be too long for a file's name, or the working folder closed
        if isinstance(error, PermissionError) and (path.suffix in TEXT_FILES or os.sep in text):
            raise
        is_file = False
    if not is_file and (path.suffix in TEXT_FILES or (os.sep in text and path.parent.is_dir())):
        raise UserError(
            f"{key}={text} {lookup.why_no_file(path)}; give prompts between semicolons, or a file with one on each line"
        )
    try:
        parts = read_lines(path, encoding) if is_file else text.split(";")
    except ValueError as error:
        reason = str(error).replace("data.encoding=", "encoding=")  # the name of the setting of this command
        raise UserError(f"{key}={text} cannot be read: {reason}") from error
    prompts = [" ".join(part.split()) for part in parts if part.strip()]
    if not prompts:
        raise UserError(f"{key}={text} holds no prompt; write {key}='a red bird;a plate of food'")
    for prompt in prompts:
        check_prompt(key, prompt)
    return list(dict.fromkeys(prompts))


def check_prompt(key: str, prompt: str) -> str:
    """Return a prompt unchanged, unless it or one of its words is too long for CLIP's tokenizer, or it is no text."""
    try:
        prompt.encode()  # JSON can spell halves of characters
        return check_caption(prompt)
    except ValueError as error:
        raise UserError(f"{key}={printable(prompt[:40])}... is not allowed: {error}") from error


def parse_seeds(key: str, text: str) -> tuple[int, ...]:
    """Parse seeds such as `0-7`, `3` or `0,4,9-12`: whole numbers from 0; drop repeated ones.

    Raises:
        UserError: the text has another form.
    """
    seeds: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip(), re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if not first <= last < 2**63:
            raise UserError(
                f"{key}={text} is not allowed: {part!r} is neither a whole number from 0 to {2**63 - 1} nor a range "
                "such as 0-7"
            )
        if last - first >= MAX_SEEDS or len(seeds) >= MAX_SEEDS:
            raise UserError(f"{key}={text} is not allowed: there may be at most {MAX_SEEDS} seeds")
        seeds |= dict.fromkeys(range(first, last + 1))
    return tuple(seeds)


def parse_truncation(key: str, text: str) -> float:
    """Parse a number from 0 to 1; raise UserError for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise UserError(f"{key}={text} is not allowed: {key} must be a number from 0 to 1")
    return value


def _whole_number(least: int) -> Callable[[str, str], int]:
    def parse(key: str, text: str) -> int:
        if not re.fullmatch(r"\d+", text, re.ASCII) or int(text) < least:
            raise UserError(f"{key}={text} is not allowed: {key} must be a whole number from {least}")
        return int(text)

    return parse


def _interpolations(key: str, text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    if not set(names) <= set(INTERPOLATIONS):
        raise UserError(f"{key}={text} is not allowed: {key} must be latent, text or latent,text")
    return names


def _text(key: str, text: str) -> str:
    return text


def _encoding(key: str, text: str) -> str:
    text_encoding(key, text)
    return text


def _checkpoint(key: str, text: str) -> Path:
    if not lookup.is_file(text):
        raise UserError(f"{key}={text} {lookup.why_no_file(text)}; give a checkpoint file")
    return Path(text)


def _picture(key: str, text: str) -> Path:
    if not lookup.is_file(text):
        raise UserError(f"{key}={text} {lookup.why_no_file(text)}; give an image file")
    return Path(text)


def _path(key: str, text: str) -> Path:
    return Path(text)


PARSERS: Mapping[str, Callable[[str, str], Any]] = {
    "run": _text,
    "ckpt": _checkpoint,
    "prompts": _text,  # parsed when the encoding is known
    "image": _picture,
    "encoding": _encoding,
    "seeds": parse_seeds,
    "truncation": parse_truncation,
    "rerank": _whole_number(1),
    "rerank_clip": _text,
    "rerank_clip.checkpoint": _text,
    "interpolate": _interpolations,
    "steps": _whole_number(2),
    "out": _path,
    "clip.checkpoint": _text,
    "device": _text,
    "mlflow.tracking_uri": _text,
    "hydra.searchpath": _text,
}
