"""The fields of `task=simclr`, as YAML has them under `simclr`."""

from dataclasses import dataclass, field

from clipgan.config.checks import at_least, one_of, positive, require, share, weight
from clipgan.config.measure_registry import MOMENTS

NETWORKS = ("tiny", "resnet18", "resnet50")
HEADS = ("plain", "bn")
STEMS = ("auto", "small", "large")
CLASSES = ("shape", "colour", "size", "background", "relation")


@dataclass
class ViewAugmentConfig:
    """How a view is made of an image (SimCLR, appendix A): crop, mirror, jitter the colours, take them away, blur."""

    crop: float = 0.08  # the smallest crop's share of the image's area; the largest is the whole
    aspect: float = 4 / 3  # largest ratio of a crop's sides
    jitter: float = 0.8  # probability that colours change
    colour: float = 0.4  # brightness, contrast and saturation change by up to +- this share (SimCLR: 0.8 s)
    hue: float = 0.1  # the hue turns by up to +- this share of the circle (SimCLR: 0.2 s)
    grayscale: float = 0.2  # probability that a view becomes grey
    blur: float = 0.0  # probability of a blur; SimCLR: 0.5 at 224 pixels, 0 at 32

    def __post_init__(self) -> None:
        require(0 < self.crop <= 1, "simclr.augment.crop", self.crop, "more than 0 and at most 1")
        require(1 <= self.aspect <= 10, "simclr.augment.aspect", self.aspect, "a number from 1 to 10")
        require(0 <= self.hue <= 0.5, "simclr.augment.hue", self.hue, "between 0 and 0.5")
        for key in ("jitter", "colour", "grayscale", "blur"):
            share(f"simclr.augment.{key}", getattr(self, key))


@dataclass
class LinearConfig:
    """The classifier on frozen features: SGD on the cross-entropy."""

    epochs: int = 50  # epochs of the classifier's training
    batch: int = 256  # images per step
    lr: float = 0.3  # initial learning rate; it falls linearly to 0
    momentum: float = 0.9  # momentum of SGD

    def __post_init__(self) -> None:
        at_least("simclr.linear.epochs", self.epochs, 1)
        at_least("simclr.linear.batch", self.batch, 1)
        positive("simclr.linear.lr", self.lr)
        require(0 <= self.momentum < 1, "simclr.linear.momentum", self.momentum, "a number from 0 to less than 1")


@dataclass
class KnnConfig:
    """The vote of the nearest training images (arXiv:1805.01978)."""

    k: int = 20  # number of neighbours that vote
    temperature: float = 0.07  # a neighbour's vote weighs exp(cosine / this)

    def __post_init__(self) -> None:
        at_least("simclr.knn.k", self.k, 1)
        positive("simclr.knn.temperature", self.temperature)


@dataclass
class FinetuneConfig:
    """The training of encoder and classifier on few labels (SimCLR, appendix B.5): SGD with Nesterov's momentum."""

    when: str = "never"  # never | end (of the training) | snapshot: train the whole network on each of few_labels
    epochs: int = 60  # epochs over the labelled images; SimCLR: 60 with 1 % of the labels, 30 with 10 %
    batch: int = 64  # labelled images per step
    lr: float = 0.2  # peak learning rate, per 256 images of a batch (SimCLR: 0.05); it falls along half a cosine
    momentum: float = 0.9  # Nesterov's momentum of SGD

    def __post_init__(self) -> None:
        one_of("simclr.finetune.when", self.when, MOMENTS)
        at_least("simclr.finetune.epochs", self.epochs, 1)
        at_least("simclr.finetune.batch", self.batch, 2)
        positive("simclr.finetune.lr", self.lr)
        require(0 < self.momentum < 1, "simclr.finetune.momentum", self.momentum, "above 0 and below 1")


def percent(share: float) -> str:
    """The name of a share of the labels in the metrics' names, such as `1pct`."""
    return f"{100 * share:g}pct"


@dataclass
class SimclrConfig:
    """The pretraining of an encoder by NT-Xent over the views of each image, with LARS (arXiv:1708.03888)."""

    network: str = "tiny"  # tiny (16 to 128 channels, for a CPU) | resnet18 | resnet50 (torchvision's)
    stem: str = "auto"  # first layers of a torchvision ResNet: auto (small up to 64 pixels) | small | large
    # small: 3 x 3, stride 1, no pooling; large: 7 x 7, stride 2, pooling.
    head: str = "plain"  # projection head, two layers: plain | bn (BatchNorm after each, as in SimCLR's public code)
    projection: int = 128  # width of the projection that the loss compares; not part of the encoder
    views: int = 2  # views of each image in a batch; every other view of an image is a positive
    temperature: float = 0.1  # temperature of NT-Xent
    augment: ViewAugmentConfig = field(default_factory=ViewAugmentConfig)  # how a view is made of an image
    lr: float = 0.6  # peak learning rate, per 256 images of a batch
    momentum: float = 0.9  # momentum of LARS
    weight_decay: float = 1e-6  # weight decay of LARS
    trust: float = 0.001  # LARS: a layer's step at learning rate 1, as a share of its weights' norm
    warmup: float = 0.1  # share of the steps in which the learning rate rises; then it falls along half a cosine
    linear: LinearConfig = field(default_factory=LinearConfig)  # the classifier on frozen features
    knn: KnnConfig = field(default_factory=KnnConfig)  # the vote of the nearest training images
    few_labels: list[float] = field(default_factory=list)  # shares of the labels for further evaluations: [0.01,0.1]
    # As many images of each class. Metrics linear_acc_1pct, linear_acc_10pct, and finetune_acc_1pct ... if asked for.
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)  # training of the whole network on few labels
    classes: list[str] = field(default_factory=lambda: ["shape", "colour"])  # data=shapes: attributes that form a class
    # Of the left or upper object: shape, colour, size. Of the whole: background, relation. Their combinations are the
    # classes; other sets have classes of their own.

    def __post_init__(self) -> None:
        one_of("simclr.network", self.network, NETWORKS)
        one_of("simclr.stem", self.stem, STEMS)
        stemmed = self.network != "tiny" or self.stem == "auto"
        require(stemmed, "simclr.stem", self.stem, "auto with simclr.network=tiny")
        one_of("simclr.head", self.head, HEADS)
        at_least("simclr.projection", self.projection, 1)
        at_least("simclr.views", self.views, 2)
        require(1e-4 <= self.temperature < float("inf"), "simclr.temperature", self.temperature, ">= 0.0001")
        for key in ("lr", "trust"):
            positive(f"simclr.{key}", getattr(self, key))
        weight("simclr.weight_decay", self.weight_decay)
        require(0 <= self.momentum < 1, "simclr.momentum", self.momentum, "a number from 0 to less than 1")
        share("simclr.warmup", self.warmup)
        for name in self.classes:
            one_of("simclr.classes", name, CLASSES)
        unique = len(set(self.classes)) == len(self.classes) > 0
        require(unique, "simclr.classes", self.classes, "at least one attribute, and none twice")
        self._check_few_labels()

    def _check_few_labels(self) -> None:
        for part in self.few_labels:
            require(0 < part < 1, "simclr.few_labels", part, "shares of the labels, more than 0 and less than 1")
        unique = len(set(map(percent, self.few_labels))) == len(self.few_labels)
        require(unique, "simclr.few_labels", self.few_labels, "a list with no share twice, to six digits")
        require(self.finetune.when == "never" or bool(self.few_labels), "simclr.finetune.when", self.finetune.when,
                 "never without simclr.few_labels=[0.01,0.1], the shares of the labels to train on")  # fmt: skip
