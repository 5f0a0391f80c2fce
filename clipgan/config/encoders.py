"""`clip`, `resnet`: the frozen encoders."""

from dataclasses import dataclass

from clipgan.config.checks import at_least, one_of, positive, require, share

PRECISIONS = ("auto", "float32", "mixed", "bfloat16")


@dataclass
class TinyClipTraining:
    """How the small CLIP is trained on the data set itself."""

    seed: int = 0  # seed of the weights and of the batches
    steps: int = 500  # steps of training
    batch: int = 64  # images a step
    lr: float = 1e-3  # peak of the cosine schedule
    hard_negatives: int = 0  # shapes: further negatives of each image: its scene with one attribute swapped
    min_attribute_accuracy: float = 0.85  # shapes: least share of captions told from one with a swapped attribute

    def __post_init__(self) -> None:
        at_least("clip.train.steps", self.steps, 1)
        at_least("clip.train.batch", self.batch, 4)
        positive("clip.train.lr", self.lr)
        at_least("clip.train.hard_negatives", self.hard_negatives, 0)
        share("clip.train.min_attribute_accuracy", self.min_attribute_accuracy)


@dataclass
class ClipConfig:
    """A frozen CLIP backbone."""

    name: str = "tiny"  # the name that this project gives it
    model: str = "clipgan-tiny"  # open_clip's name of the model
    pretrained: str | None = None  # open_clip's tag of the weights; null: checkpoint or train gives them
    checkpoint: str | None = None  # a weights file in place of the download
    precision: str = "auto"  # auto (mixed on GPUs with bfloat16) | float32 | mixed (bfloat16 in steps only) | bfloat16
    # mixed: the cached features are in float32. python -m clipgan.encoder_cost measures float32 and bfloat16.
    grad_checkpointing: bool = False  # true: save the memory of CLIP's activations, for a third more time in CLIP
    # For image towers that are transformers; the time is the tower's, the memory that of G's step.
    train: TinyClipTraining | None = None  # how the tiny CLIP is trained; null for any other

    def __post_init__(self) -> None:
        one_of("clip.precision", self.precision, PRECISIONS)
        sources = (self.pretrained, self.checkpoint, self.train)
        require(any(source is not None for source in sources), "clip.checkpoint", self.checkpoint,
                 "a weights file where neither clip.pretrained nor clip.train is set")  # fmt: skip
        # conf/metrics/ sets the seed of a judge's training, whichever judge is chosen
        if self.pretrained is not None and self.train and self.train == TinyClipTraining(seed=self.train.seed):
            self.train = None


@dataclass
class TinyResNetTraining:
    """How the small ResNet is trained on the data set itself, by plain SimCLR."""

    seed: int = 0  # seed of the weights and of the batches
    steps: int = 300  # steps of training
    batch: int = 128  # images a step
    lr: float = 1e-3  # learning rate
    temperature: float = 0.2  # temperature of NT-Xent

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
    checkpoint: str | None = None  # a weights file in place of the download; simclr: a checkpoint in place of run
    run: str | None = None  # simclr: MLflow's id of a run of task=simclr | latest, the youngest that has ended
    precision: str = "auto"  # auto (mixed on GPUs with bfloat16) | float32 | mixed (bfloat16 in steps only) | bfloat16
    train: TinyResNetTraining | None = None  # how the tiny ResNet is trained; null for any other
    ridge: float = 1e-3  # strength, per sample, of the ridge regression from text embeddings to ResNet features

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
