"""Describe a run for MLflow, besides its metrics: its name, its task, and how to continue it."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from clipgan.base.secrets import without_passwords
from clipgan.config import Config, MlflowConfig

MAX_NAME = 250  # characters; MLflow keeps no more


@dataclass(frozen=True)
class Origin:
    """The origin of a run: its own command, or a sweep."""

    command: str | None = None  # shell command that continues this run
    swept: tuple[str, ...] = ()  # overrides that differ between the trials of its sweep, such as `h=0.5`
    parent_run_id: str | None = None  # the MLflow run of its sweep


@dataclass(frozen=True)
class RunDescription:
    """The data that MLflow gets when it creates a run."""

    name: str
    description: str  # Markdown
    parent_run_id: str | None = None
    dataset: tuple[str, str] | None = None  # name and fingerprint
    tags: Mapping[str, str] = field(default_factory=dict)  # of the newest process (`provenance.tags`)


def run_name(config: Config, swept: tuple[str, ...] = ()) -> str:
    """Name a run, as `symmetric h=0.5 C_it=1 ViT-B32`: structure, h, other axes of its sweep, and the guide CLIP.

    Args:
        config: the run; with task=simclr, pairs and network replace structure and CLIP.
        swept: see `Origin`.
    """
    if config.simclr is None:
        known, first, last = {"loss", "h", "clip"}, f"{config.loss.name} h={config.h:g}", config.clip.name
    else:
        known, first, last = {"pairs", "simclr.network"}, config.pairs.name, config.simclr.network
    pairs = (line.lstrip("+").partition("=") for line in swept)
    others = [f"{key}={_short(value)}" for key, _, value in pairs if key not in known]
    return " ".join([first, *others, last])[:MAX_NAME]


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
    if origin.command is not None:
        # with task=simclr the learning rate ends at 0 after the last epoch
        later = ", after its end with more kimg" if config.simclr is None else " where it was interrupted"
        paragraphs += [f"To go on{later}:", f"    {origin.command}"]
    pictures = " `samples-*.png` are its sample grids." if config.simclr is None else ""
    paragraphs.append(f"`{objective}` against {unit} is its objective, `{objective}_best` the best so far.{pictures}")
    return "\n\n".join(paragraphs)


def to_compare(mlflow: MlflowConfig) -> list[tuple[str, str]]:
    """Return the command that compares runs in MLflow, with its purpose; nothing if the tracking URI is a server."""
    uri = without_passwords(mlflow.tracking_uri or "")
    if not uri or uri.startswith(("http://", "https://")):  # MLflow runs on a server already
        return []
    return [(f"mlflow ui --backend-store-uri {shlex.quote(uri)}", "compare runs in a browser")]


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
