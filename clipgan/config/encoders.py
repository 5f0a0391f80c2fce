"""`clip`, `resnet`: the frozen encoders."""

from dataclasses import dataclass

from clipgan.config.checks import at_least, one_of, positive, require

PRECISIONS = ("float32", "bfloat16")


@dataclass
class TinyClipTraining:
    """How the small CLIP is trained on the data set itself."""

    seed: int = 0
    steps: int = 500
    batch: int = 64
    lr: float = 1e-3  # peak of the cosine schedule
    min_attribute_accuracy: float = 0.85  # gate on the shapes set; other sets have no attributes to swap

    def __post_init__(self) -> None:
        at_least("clip.train.steps", self.steps, 1)
        at_least("clip.train.batch", self.batch, 4)
        positive("clip.train.lr", self.lr)
        require(0 <= self.min_attribute_accuracy <= 1, "clip.train.min_attribute_accuracy",
                 self.min_attribute_accuracy, "between 0 and 1")  # fmt: skip


@dataclass
class ClipConfig:
    """The frozen CLIP backbone."""

    name: str = "tiny"  # how this project calls it
    model: str = "clipgan-tiny"  # open_clip's model name
    pretrained: str | None = None  # open_clip's tag of the weights; null: train (tiny) or checkpoint
    checkpoint: str | None = None  # a weights file, in place of `pretrained`
    precision: str = "float32"  # bfloat16: autocast; whether that is faster: python -m clipgan.encoder_cost
    grad_checkpointing: bool = False  # activations of a transformer's blocks are computed again in the backward pass
    # in place of being kept: less memory for G's step, a third more time in the tower
    train: TinyClipTraining | None = None  # set for `tiny` only

    def __post_init__(self) -> None:
        one_of("clip.precision", self.precision, PRECISIONS)
        sources = (self.pretrained, self.checkpoint, self.train)
        require(any(source is not None for source in sources), "clip.checkpoint", self.checkpoint,
                 "a weights file where neither clip.pretrained nor clip.train is set")  # fmt: skip


@dataclass
class TinyResNetTraining:
    """How the small ResNet is trained on the data set itself, by plain SimCLR."""

    seed: int = 0
    steps: int = 300
    batch: int = 128
    lr: float = 1e-3
    temperature: float = 0.2

    def __post_init__(self) -> None:
        at_least("resnet.train.steps", self.steps, 1)
        at_least("resnet.train.batch", self.batch, 2)
        positive("resnet.train.lr", self.lr)
        positive("resnet.train.temperature", self.temperature)


@dataclass
class ResNetConfig:
    """The frozen ResNet."""

    name: str = "tiny"  # tiny | resnet50 | simclr
    pretrained: str | None = None  # torchvision's name of the weights
    checkpoint: str | None = None  # a state dict, in place of `pretrained`; simclr: a checkpoint, in place of `run`
    run: str | None = None  # simclr only: an MLflow run of task=simclr, or latest, the youngest that has ended
    precision: str = "float32"  # bfloat16: autocast
    train: TinyResNetTraining | None = None  # set for `tiny` only
    ridge: float = 1e-3  # strength of the ridge regression from text embeddings to ResNet features, per sample

    def __post_init__(self) -> None:
        positive("resnet.ridge", self.ridge)
        one_of("resnet.precision", self.precision, PRECISIONS)
        if self.name == "simclr":
            require(self.run is not None or self.checkpoint is not None, "resnet.run", self.run,
                     "latest or the id of an MLflow run of task=simclr")  # fmt: skip
            return
        require(self.run is None, "resnet.run", self.run, f"null for resnet={self.name}")
        sources = (self.pretrained, self.checkpoint, self.train)
        require(any(source is not None for source in sources), "resnet.checkpoint", self.checkpoint,
                 "a weights file where neither resnet.pretrained nor resnet.train is set")  # fmt: skip
