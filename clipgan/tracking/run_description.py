"""Describe a run for MLflow, besides its metrics: its name, its task, and how to continue it."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clipgan.base.installed import python
from clipgan.base.secrets import without_passwords
from clipgan.config import Config, MlflowConfig
from clipgan.config.identity import CHANGE_NO_METRIC, is_listed
from clipgan.config.user_command import UserCommand

MAX_NAME = 250  # characters; MLflow keeps no more


@dataclass(frozen=True)
class Origin:
    """The origin of a run: its own command, or a sweep."""

    command: UserCommand = field(default_factory=UserCommand)
    swept: tuple[str, ...] = ()  # overrides that differ between the trials of its sweep, such as `h=0.5`
    parent_run_id: str | None = None  # the MLflow run of its sweep
    # told the names of the metrics: the objective's, and those of the others by their short names (fid, accuracy ...)
    tell_names: Callable[[str, Mapping[str, str]], None] | None = None
    # told a digest of the settings that choose data and encoders, and digests of their content by name
    tell_sources: Callable[[str, Mapping[str, str | None]], None] | None = None


@dataclass(frozen=True)
class RunDescription:
    """The data that MLflow gets when it creates a run."""

    name: str
    description: str  # Markdown
    parent_run_id: str | None = None
    dataset: tuple[str, str] | None = None  # name and fingerprint
    objective: str | None = None  # the name of its metric
    tags: Mapping[str, str] = field(default_factory=dict)  # of the newest process (`provenance.tags`)


# What a person compares, in the order of the parameters in MLflow.
COMPARED = (
    "loss.name", "h", "C_it", "C_ii", "S.D", "S.CLIP", "S.ResNet", "pairs.name", "condition.name", "clip.name",
    "model.name", "augment.name", "data.name", "resolution", "batch", "kimg", "seconds", "epochs", "seed",
    "metrics.name", "precision", "fid_key",
)  # fmt: skip


def to_show(params: Mapping[str, Any], swept: Sequence[str]) -> dict[str, Any]:
    """Choose and order a run's parameters for MLflow; the file config.yaml has all of them.

    The axes of the sweep come first, then what a person compares, then the rest. Left out are empty values, what
    changes no metric, and what repeats another parameter: weights of the structure that repeat `h`, a judge that is
    the extractor.

    Args:
        params: dotted keys to plain values.
        swept: see `Origin`.
    """
    repeated = {key for key in ("loss.homologous", "loss.heterologous") if params.get(key) in (1, params.get("h"))}
    if params.get("metrics/judge_key") == params.get("metrics/extractor"):
        repeated.add("metrics/judge_key")
    first = [*(line.lstrip("+").partition("=")[0] for line in swept), *COMPARED]
    shown = {
        key: value
        for key, value in params.items()
        if value not in (None, [], ())
        and key not in repeated
        and (key in first or not is_listed(key, CHANGE_NO_METRIC))
    }
    ranks = {name: rank for rank, name in reversed(list(enumerate(first)))}

    def rank(key: str) -> int:
        names = (key, key.removesuffix(".name"))  # an axis `loss` is the parameter loss.name
        return min((ranks[name] for name in names if name in ranks), default=len(first))

    return dict(sorted(shown.items(), key=lambda item: rank(item[0])))


def run_name(config: Config, swept: tuple[str, ...] = ()) -> str:
    """Name a run: a trial by what varies in its sweep (`h=0.5 symmetric`), a single run also by its data.

    Args:
        config: the run.
        swept: see `Origin`.
    """
    kind, key = (config.loss.name, "loss") if config.simclr is None else (config.pairs.name, "pairs")
    given = dict(line.lstrip("+").partition("=")[::2] for line in swept)
    varied = [f"{name}={_short(value)}" for name, value in given.items() if name != key]
    if not swept:
        varied = [f"h={config.h:g}"] if config.simclr is None else []
        return " ".join([kind, *varied, config.data.name, f"{config.resolution}px"])[:MAX_NAME]
    return " ".join([*varied, kind])[:MAX_NAME]


def description(config: Config, origin: Origin, objective: str) -> str:
    """Write Markdown for the run's page in MLflow.

    Args:
        config: the run.
        origin: the command or the sweep that started it.
        objective: name of its objective.
    """
    unit = "kimg" if config.simclr is None else "epochs"
    swept = f" A trial of the sweep that is its parent run, with `{' '.join(origin.swept)}`." if origin.swept else ""
    paragraphs = [_what(config) + swept]  # the page shows only the first lines
    if origin.command.run_dir is not None:
        # with task=simclr the learning rate ends at 0 after the last epoch
        later = ", after its end with more kimg" if config.simclr is None else " where it was interrupted"
        paragraphs += [f"To go on{later}:", f"    {origin.command.resumed()}"]
    pictures = " `samples-*.png` are its sample grids." if config.simclr is None else ""
    paragraphs.append(f"`{objective}` against {unit} is its objective, `{objective}_best` the best so far.{pictures}")
    return "\n\n".join(paragraphs)


def to_compare(mlflow: MlflowConfig) -> list[tuple[str, str]]:
    """Return the command that compares runs in MLflow, with its purpose; nothing if the tracking URI is a server."""
    uri = without_passwords(mlflow.tracking_uri or "")
    if not uri or uri.startswith(("http://", "https://")):  # MLflow runs on a server already
        return []
    command = [python(), "-m", "mlflow", "ui", "--backend-store-uri", uri]
    return [(shlex.join(command), "compare runs in a browser")]


def _what(config: Config) -> str:
    size = f"at {config.resolution} x {config.resolution} pixels, seed {config.seed}"
    if config.simclr is not None:
        return (f"An encoder pretrained by SimCLR: {config.simclr.network}, pairs {config.pairs.name}, on"
                f" {config.data.name} {size}, for {config.epochs} epochs.")  # fmt: skip
    length = f"{config.kimg} kimg"
    if config.seconds is not None:
        length = f"{config.seconds:g} seconds of training, {length} at most"
    return (f"A text-to-image GAN: loss structure {config.loss.name} with h = {config.h:g}, model {config.model.name},"
            f" guided by CLIP {config.clip.name}, on {config.data.name} {size}, for {length}.")  # fmt: skip


def _short(value: str) -> str:
    """Shorten a swept value: no quotes, and six digits for a drawn number."""
    value = value.strip("'\"")
    try:
        return value if value.lstrip("+-").isdigit() else f"{float(value):g}"
    except ValueError:
        return value
