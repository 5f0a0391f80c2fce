"""Measure how often the two images of a positive pair are in one class: pairs by augmentation against pairs by text.

python -m clipgan.consistency data=shapes n_classes=10 n_images=1000
python -m clipgan.consistency data=imagefolder data.path=IMAGENET clip=ViT-B32 resolution=256

n_classes=10     number of classes, drawn at random
n_images=1000    number of images of these classes, drawn at random; fewer if the data set has fewer
split=heldout    heldout or train
views=8          augmented views per image
seed=0           seed of all draws
out=FOLDER       folder of the results and the plot; default: runs/consistency

All other settings are the settings of train.py (data, clip, resolution, simclr.augment.*, simclr.classes, device,
cache_dir, ...).

The method follows "On the Generalization of Multi-modal Contrastive Learning" (ICML 2023). Any two images have a
probability of being a positive pair. By augmentation, it is the probability that CLIP assigns an augmented view of one
image to the other image. By text, it is the probability that CLIP assigns a caption of one image to the other image.
This probability is a softmax over CLIP's cosines, at CLIP's own temperature. The images and these probabilities form a
graph: each image is a node, and the probability is the weight of the edge.

The command prints how often a pair of different images is in one class; each pair counts with its weight. It plots the
spectrum of the normalised graph, and prints eigenvalue number n_classes and the next one. The spectrum has an
eigenvalue of 1 for each part of the graph that no edge connects with the rest. Ideally, the first n_classes eigenvalues
are 1 and the others are small. If so few images are drawn that a class has none, only the others count.
"""

# In the comments: n images, q queries (views or captions), C width of CLIP's embedding.

import json
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clipgan.base.cache import cache_dir_of
from clipgan.base.console import console
from clipgan.base.device import choose_device
from clipgan.base.errors import UserError
from clipgan.base.randomness import stream, stream_seed
from clipgan.base.text import counted
from clipgan.config import Config
from clipgan.config.checks import at_least, require
from clipgan.config.command_line import compose_config, helped, messages_not_tracebacks
from clipgan.inputs.data.labels import load_labels, require_classes
from clipgan.inputs.data.loading import load_data
from clipgan.inputs.data.pack import Split
from clipgan.inputs.encoders.clip import FrozenClip, load_clip
from clipgan.inputs.encoders.trained_activation import say_activation
from clipgan.inputs.encoders.weights import check_weights
from clipgan.tasks.simclr.augment import augment, draw

BATCH = 64  # images that CLIP encodes at a time


@dataclass(frozen=True)
class Options:
    """The command's own settings."""

    n_classes: int = 10
    n_images: int = 1000
    split: str = "heldout"
    views: int = 8
    seed: int = 0
    out: str = "runs/consistency"


@dataclass(frozen=True)
class Measured:
    """The result for one way of making pairs."""

    same_class: float  # probability that a pair of different images is of one class
    spectrum: list[float]  # eigenvalues of the normalised graph, in falling order


def parse(arguments: list[str]) -> tuple[Options, list[str]]:
    """Split the arguments into the command's own settings and overrides of the configuration.

    Raises:
        UserError: a value is not allowed.
    """
    kinds = {field.name: type(getattr(Options(), field.name)) for field in fields(Options)}
    own: dict[str, Any] = {}
    rest = []
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key not in kinds:
            rest.append(argument)
            continue
        if not value.strip():  # an empty `out` would be the working directory
            raise UserError(f"{key}= is empty; give {key}=VALUE")
        try:
            own[key] = kinds[key](value)
        except ValueError as error:
            raise UserError(f"{argument} is not allowed: {key} must be a whole number") from error
    options = Options(**own)
    for key, least in (("n_classes", 2), ("n_images", 2), ("views", 1), ("seed", 0)):
        at_least(key, getattr(options, key), least)
    require(options.split in ("train", "heldout"), "split", options.split, "train or heldout")
    return options, rest


def choose(labels: np.ndarray, options: Options) -> np.ndarray:
    """Draw `n_classes` classes and at most `n_images` of their images at random; return the images' sorted indices.

    Raises:
        UserError: there are fewer classes, or the images are not more than the classes.
    """
    random = np.random.default_rng(stream_seed(options.seed, "consistency"))
    known = np.unique(labels)
    if len(known) < options.n_classes:
        raise UserError(f"n_classes={options.n_classes} is not allowed: the {options.split} split has {len(known)}")
    chosen = np.flatnonzero(np.isin(labels, random.choice(known, options.n_classes, replace=False)))
    chosen = np.sort(random.permutation(chosen)[: options.n_images])
    require(len(chosen) > options.n_classes, "n_images", options.n_images,
             f"more than n_classes={options.n_classes}, and there must be so many images of these classes "
             f"(here: {len(chosen)})")  # fmt: skip
    return chosen


def co_occurrence(queries: Tensor, owners: Tensor, images: Tensor, temperature: float) -> Tensor:
    """Return the probability that two images are a positive pair: symmetric, float64 [n, n], sum 1.

    A query of image x is mistaken for image x' with probability softmax over x' of (q . v_x' / tau).

    Args:
        queries: [q, C], unit length.
        owners: int64 [q], the image of each query; each image has at least one query.
        images: v, [n, C], unit length.
        temperature: tau.
    """
    matches = torch.softmax((queries @ images.T / temperature).double(), dim=1)
    count = len(images)
    sums = torch.zeros(count, count, dtype=torch.float64, device=matches.device).index_add_(0, owners, matches)
    rows = sums / torch.bincount(owners, minlength=count)[:, None]
    return (rows + rows.T) / (2 * count)


def measure(graph: Tensor, labels: Tensor) -> Measured:
    """Compute the same-class probability of pairs of different images, and the spectrum of D^-1/2 A D^-1/2."""
    others = graph - graph.diagonal().diag()
    same = labels[:, None] == labels
    degree = graph.sum(dim=1).rsqrt()
    eigenvalues = torch.linalg.eigvalsh(degree[:, None] * graph * degree)
    return Measured(float((others * same).sum() / others.sum()), eigenvalues.flip(0).tolist())


@torch.no_grad()
def embed(split: Split, rows: np.ndarray, config: Config, options: Options, clip: FrozenClip) -> tuple[Tensor, Tensor]:
    """Encode the images in `rows`, [n, C], and `views` views of each, [n views, C], an image's views consecutively."""
    assert config.simclr is not None
    device, originals, views = clip.preprocess.mean.device, [], []
    for start in range(0, len(rows), BATCH):
        images = torch.from_numpy(split.images[rows[start : start + BATCH]]).to(device).float() / 255
        originals.append(clip.encode_image(2 * images - 1))
        repeated = images.repeat_interleave(options.views, dim=0)
        random = stream(options.seed, "views", start)
        draws = draw(config.simclr.augment, len(repeated), config.resolution, config.data.x_flip, random)
        views.append(clip.encode_image(2 * augment(repeated, draws) - 1))
    return torch.cat(originals), torch.cat(views)


def compare(config: Config, options: Options) -> dict[str, Any]:
    """Measure both ways of making pairs on the same images.

    Raises:
        UserError: the data set has no classes or too few, or CLIP's weights are missing.
    """
    if config.simclr is None:
        raise UserError("task=gan is not allowed: leave `task` out, this command uses the settings of task=simclr")
    check_weights({"clip.checkpoint": config.clip.checkpoint})
    device = choose_device(config.device)
    cache_dir = cache_dir_of(config.cache_dir)
    require_classes(config.data.name)
    data = load_data(config.data, config.resolution, cache_dir)
    known = load_labels(data, config.simclr.classes)
    clip = load_clip(config.clip, data, cache_dir, device)
    say_activation(config.clip)
    train = options.split == "train"
    split, classes = (data.train, known.train) if train else (data.heldout, known.heldout)
    chosen = choose(classes, options)
    labels = torch.from_numpy(classes[chosen]).to(device)
    images, views = embed(split, chosen, config, options, clip)
    captions = [split.captions[index] for index in chosen.tolist()]
    texts = clip.encode_text([text for each in captions for text in each])
    owners = torch.arange(len(chosen), device=device)
    by_text = owners.repeat_interleave(torch.tensor([len(each) for each in captions], device=device))
    temperature = 1 / float(clip.backbone.logit_scale.exp())
    ways = {
        "image": co_occurrence(views, owners.repeat_interleave(options.views), images, temperature),
        "text": co_occurrence(texts, by_text, images, temperature),
    }
    same = labels[:, None] == labels
    n = len(chosen)
    return {
        "classes": sorted({known.classes[index] for index in classes[chosen]}),
        "n_images": n,
        "temperature": temperature,
        "chance": float((same.sum() - n) / (n * (n - 1))),
        **{name: asdict(measure(graph, labels)) for name, graph in ways.items()},
    }


def draw_plot(found: dict[str, Any], path: Path) -> None:
    """Draw the same-class probabilities and the spectra as an SVG."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "consistency"  # equal results give equal files
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    names = {"chance": "any two", "image": "by augmentation", "text": "by text"}
    heights = [found["chance"], found["image"]["same_class"], found["text"]["same_class"]]
    panels[0].bar(list(names.values()), heights, color=["0.7", "C0", "C1"])
    panels[0].set(ylim=(0, 1), title="positive pairs of one class")
    n_classes = len(found["classes"])
    for name, colour in (("image", "C0"), ("text", "C1")):
        spectrum = found[name]["spectrum"][: 5 * n_classes]
        panels[1].plot(range(1, len(spectrum) + 1), spectrum, marker=".", color=colour, label=names[name])
    panels[1].axvline(n_classes, color="0.7", linestyle="--", label=f"{n_classes} classes")
    panels[1].set(ylim=(0, 1.02), xlabel="eigenvalue", title="spectrum of the normalised graph")
    panels[1].legend()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Run the command line."""
    if helped(__doc__):
        return
    with messages_not_tracebacks("out"):
        options, overrides = parse(sys.argv[1:])
        own = [field.name for field in fields(Options)]
        found = compare(compose_config(["task=simclr", *overrides], own), options)
        folder = Path(options.out)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "consistency.json").write_text(json.dumps(found, indent=1) + "\n")
        draw_plot(found, folder / "consistency.svg")
        n_classes = len(found["classes"])
        counts = (("n_images", options.n_images, found["n_images"]), ("n_classes", options.n_classes, n_classes))
        short = [f"{key}={asked}" for key, asked, count in counts if count < asked]
        fewer = f", fewer than {' and '.join(short)}" if short else ""
        console.print(
            f"{found['n_images']} images of {counted(n_classes, 'class', 'classes')}{fewer};"
            f" any two: {found['chance']:.1%} of one class"
        )
        for name, way in (("image", "image augmentation"), ("text", "text")):
            spectrum = found[name]["spectrum"]
            after = f"eigenvalue {n_classes}: {spectrum[n_classes - 1]:.3f}, the next: {spectrum[n_classes]:.3f}"
            console.print(f"pairs by {way}: {found[name]['same_class']:.1%} of one class; {after}")
        console.print(f"written: {folder}/consistency.json, {folder}/consistency.svg")


if __name__ == "__main__":
    main()
