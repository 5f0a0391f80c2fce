"""One training: all groups, and what stands beside them."""

from dataclasses import dataclass, field

from clipgan.base.text import counted
from clipgan.config.adversarial import AdversarialConfig
from clipgan.config.augment import AugmentConfig
from clipgan.config.checks import RESOLUTIONS, at_least, is_resolution, name, one_of, positive, require, weight
from clipgan.config.condition import ConditionConfig
from clipgan.config.data import DataConfig
from clipgan.config.discriminator import DiscriminatorConfig
from clipgan.config.encoders import ClipConfig, ResNetConfig
from clipgan.config.loss import PAIRS, SPACES, LossConfig, SpaceWeights
from clipgan.config.measure_registry import Need
from clipgan.config.metrics import MetricsConfig
from clipgan.config.mlflow import MlflowConfig
from clipgan.config.model import ModelConfig
from clipgan.config.pairs import ContrastConfig, PairsConfig
from clipgan.config.simclr import SimclrConfig

HETEROLOGOUS = ("direction", "source")
FEATURES = ("preprocessed", "online")
TRAINING_PRECISIONS = ("auto", "fp32", "tf32", "bf16", "fp16")
GRAPHS = ("auto", "on", "off")
COMPILE_MODES = ("default", "reduce-overhead", "max-autotune")
LOGS = ("mlflow", "tensorboard")
MLFLOW_RUN = "mlflow:"  # before the id of a run whose weights to start from


@dataclass
class Config:
    """One training."""

    loss: LossConfig  # which pairs each space contrasts, in whose loss
    clip: ClipConfig  # the CLIP that guides
    resnet: ResNetConfig  # the ResNet space
    data: DataConfig  # the captioned images
    model: ModelConfig  # generator and discriminator
    metrics: MetricsConfig  # what is measured of a generator, and how
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)  # the game between G and D
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)  # the architecture of D
    augment: AugmentConfig = field(default_factory=AugmentConfig)  # what changes images before D sees them
    pairs: PairsConfig = field(default_factory=PairsConfig)  # which candidates count as positives and negatives
    condition: ConditionConfig = field(default_factory=ConditionConfig)  # what G and D are conditioned on
    h: float = 0.5  # heterologous parameter: weight of the InfoNCE direction whose anchor is the target
    heterologous: str = "direction"  # what h weighs: direction (anchor the target) | source (generated images)
    C_it: float = 0.5  # weight of image-text pairs
    C_ii: float = 0.5  # weight of image-image pairs
    S: SpaceWeights = field(default_factory=SpaceWeights)  # weights of the spaces; each is multiplied by C_it or C_ii
    contrast: ContrastConfig = field(default_factory=ContrastConfig)  # how much is contrasted at once, and how often
    seed: int = 0  # seed of every random draw
    batch: int = 16  # images per step
    accumulate: int = 1  # number of micro-batches into which a step splits its batch, to save memory
    kimg: int = 24  # length of a training: thousands of real images shown to D; the most where `seconds` ends it
    seconds: float | None = None  # seconds after which a training ends, without snapshots; null: after `kimg`
    # It ends at the nearest whole kimg. budget=seconds chooses 600, and a `kimg` that no training reaches.
    snapshot_kimg: int = 6  # kimg between two snapshots (FID, sample grid, checkpoint)
    resolution: int = 32  # image size in pixels, a power of two
    features: str = "preprocessed"  # preprocessed: encode the real images once | online: encode them in every step
    device: str = "auto"  # auto | cpu | cuda | cuda:1 ...
    precision: str = "auto"  # precision of G and D in training: auto (the fastest) | fp32 | tf32 | bf16 | fp16
    compile: str | None = None  # torch.compile: default | reduce-overhead (CUDA graphs) | max-autotune; null: off
    # It compiles G, D and the encoders' image towers.
    graphs: str = "auto"  # record the step and repeat it, on a GPU as CUDA graphs: auto (in one process) | on | off
    processes: int = 1  # number of processes that share the batch, each with its own GPU; torchrun sets it
    threads: int | None = None  # number of CPU threads of each process; null: as many as cores
    deterministic: bool | None = None  # true: a repeated run has the same bits; null: true on a CPU
    # The machine and the number of threads must be the same.
    keep_last: int | None = 2  # number of newest snapshots whose checkpoints a run keeps; null: all
    keep_best: int = 1  # number of best snapshots whose checkpoints a run keeps as well
    checkpoint_minutes: float | None = 10.0  # maximum minutes between two checkpoints; null: at snapshots only
    resume: str = "auto"  # auto: resume the newest good checkpoint of the run directory | none | a checkpoint file
    init: str | None = None  # initial weights: a checkpoint file | mlflow:RUN_ID; null: random
    freeze_d: int = 0  # Freeze-D (arXiv:2002.10964): number of D's layers, from the image on, that keep init's weights
    cache_dir: str | None = None  # folder of data, trained encoders and features; null: clipgan/ in your cache home
    sample_prompts: int = 6  # rows of the sample grid
    sample_latents: int = 8  # columns of the sample grid
    log: list[str] = field(default_factory=lambda: ["mlflow"])  # where metrics go besides metrics.jsonl
    # mlflow | tensorboard | both, as in [mlflow,tensorboard] | none of them: []
    mlflow: MlflowConfig = field(default_factory=MlflowConfig)  # where MLflow keeps the metrics
    simclr: SimclrConfig | None = None  # task=simclr: an encoder is pretrained; null: a GAN is trained
    epochs: int | None = None  # task=simclr: length of a training, in epochs
    snapshot_epochs: int | None = None  # task=simclr: epochs between two snapshots (linear evaluation, checkpoint)

    def __post_init__(self) -> None:
        self._check_common()
        if self.simclr is not None:
            self._check_simclr()
        else:
            self._check_gan()
        self._check_negatives()

    def _check_common(self) -> None:
        name("clip.name", self.clip.name)
        if self.metrics.judge is not None:
            name("metrics.judge.name", self.metrics.judge.name)
        at_least("batch", self.batch, 2)
        at_least("keep_best", self.keep_best, 0)
        if self.keep_last is not None:
            at_least("keep_last", self.keep_last, 1)
        if self.checkpoint_minutes is not None:
            require(self.checkpoint_minutes >= 0, "checkpoint_minutes", self.checkpoint_minutes, "a number >= 0")
        require(self.seed >= 0, "seed", self.seed, "an integer >= 0")
        require(is_resolution(self.resolution), "resolution", self.resolution, RESOLUTIONS)
        one_of("features", self.features, FEATURES)
        for sink in self.log:
            require(sink in LOGS, "log", self.log, f"a list of any of {', '.join(LOGS)}")
        one_of("precision", self.precision, TRAINING_PRECISIONS)
        if self.threads is not None:
            at_least("threads", self.threads, 1)
        at_least("processes", self.processes, 1)
        at_least("accumulate", self.accumulate, 1)

    def _check_negatives(self) -> None:
        """Refuse parts or a selection without a negative: the contrast would be 0, or the same for all images."""
        images = self.contrasted_images()
        if self.simclr is None and any(self.loss.terms()) and (self.C_it or self.C_ii):
            key, all_contrast = (("accumulate", "contrast.grad_cache=true") if self.accumulate > 1 else
                                 ("processes", "model.lafite.contrast=batch"))  # fmt: skip
            require(images > 1, key, getattr(self, key), f"such that at least 2 of batch={self.batch} images contrast "
                     f"with each other; {all_contrast} lets all of them")  # fmt: skip
        among = "among " + (f"batch={self.batch}" if images == self.batch else
                            f"the {counted(images, 'image')} that contrast with each other")  # fmt: skip
        require(self.pairs.k is None or self.pairs.k < images - 1, "pairs.k", self.pairs.k,
                 f"less than {images - 1}: {among}, some candidates must stay negatives")  # fmt: skip
        if self.pairs.name in ("drop_false_negative", "drop_easy_negative"):
            dropped = self.pairs.dropped(images - 1)
            require(dropped < images - 1, "pairs.fraction", self.pairs.fraction,
                     f"small enough to leave a negative: {among}, it drops all {dropped}")  # fmt: skip

    def contrasted_images(self) -> int:
        """Return how many images contrast with each other: the batch, or those of a micro-batch or of a process."""
        if self.simclr is not None:
            return self.batch
        lafite = self.model.lafite
        parts = 1 if self.contrast.grad_cache else self.accumulate
        return self.batch // (parts * (self.processes if lafite and lafite.contrast == "process" else 1))

    def _check_simclr(self) -> None:
        for key in ("epochs", "snapshot_epochs"):
            value = getattr(self, key)
            require(value is not None and value >= 1, key, value, "an integer >= 1 with task=simclr")
        require(self.pairs.similarity == "image" or self.features == "preprocessed", "pairs.similarity",
                 self.pairs.similarity, "image with features=online: an augmented view has no caption")  # fmt: skip
        require(self.batch % (self.processes * self.accumulate) == 0, "accumulate", self.accumulate,
                 f"such that batch={self.batch} splits into equal parts"
                 + (f" in each of {self.processes} processes" if self.processes > 1 else ""))  # fmt: skip
        finetune = self.simclr.finetune if self.simclr else None
        require(finetune is None or finetune.when == "never" or finetune.batch % self.processes == 0,
                 "simclr.finetune.batch", finetune and finetune.batch,
                 f"a multiple of processes={self.processes}")  # fmt: skip

    def _check_gan(self) -> None:
        for key in ("epochs", "snapshot_epochs"):
            require(getattr(self, key) is None, key, getattr(self, key), "null without task=simclr: a GAN counts kimg")
        self._check_weights()
        for key in ("kimg", "snapshot_kimg", "sample_prompts", "sample_latents"):
            at_least(key, getattr(self, key), 1)
        if self.seconds is not None:
            positive("seconds", self.seconds)
        self.metrics.check_objective(self.data.name, *(() if self.data.name == "shapes" else (Need.SHAPES,)))
        self._check_init()
        self._check_game()
        if self.compile is not None:
            one_of("compile", self.compile, COMPILE_MODES, "null")
        self.graphs = {"True": "on", "False": "off"}.get(self.graphs, self.graphs)  # what YAML makes of on and off
        one_of("graphs", self.graphs, GRAPHS)
        require(self.compile is None or self.graphs != "on", "graphs", self.graphs,
                 f"auto or off with compile={self.compile}, which makes graphs of its own")  # fmt: skip
        self._check_contrast()
        self._check_parts()

    def _check_weights(self) -> None:
        """Check the weights of the terms, and what h weighs."""
        for key in ("h", "C_it", "C_ii"):
            weight(key, getattr(self, key))
        for key in ("homologous", "heterologous"):  # after h, which they may be set from, so that the message names h
            weight(f"loss.{key}", getattr(self.loss, key))
        one_of("heterologous", self.heterologous, HETEROLOGOUS)
        if self.heterologous == "direction":
            return
        require(self.loss.homologous > 0, "heterologous", self.heterologous,
                 f"direction for loss={self.loss.name}, which has no homologous part")  # fmt: skip
        for phase, space, pair, term in self.loss.terms():
            for key in ("h", "heterologous") if phase == "discriminator" else ():
                require(getattr(term, key) is None, f"loss.{phase}.{space}.{pair}.{key}", getattr(term, key),
                         "null with heterologous=source, where h weighs terms on generated images")  # fmt: skip

    def _check_contrast(self) -> None:
        """Check that the loss can use further targets, and that pseudo texts can choose the pairs."""
        require(self.contrast.negatives == 0 or self.loss.homologous > 0, "contrast.negatives",
                 self.contrast.negatives, f"0 for loss={self.loss.name}, which has no homologous part")  # fmt: skip
        require(self.contrast.negatives == 0 or self.loss.text == "clean", "contrast.negatives",
                 self.contrast.negatives, "0 with loss.text=noisy: further targets have no noise")  # fmt: skip
        if self.condition.language_free:
            require(self.pairs.name != "drop_false_positive", "pairs", self.pairs.name,
                     "another selection where condition.language_free > 0: a pseudo text cannot say how well it "
                     "fits")  # fmt: skip
            require(self.pairs.similarity == "image", "pairs.similarity", self.pairs.similarity,
                     "image where condition.language_free > 0")  # fmt: skip

    def _check_parts(self) -> None:
        """Check that the batch splits into equal parts for processes and micro-batches."""
        group = min(self.model.mbstd_group, self.batch)
        require(self.batch % group == 0, "batch", self.batch, f"a multiple of model.mbstd_group={group}")
        require(self.batch % (self.processes * group) == 0, "processes", self.processes,
                 f"such that batch={self.batch} splits into equal multiples of model.mbstd_group={group}")  # fmt: skip
        each = self.batch // self.processes
        require(each % (self.accumulate * group) == 0, "accumulate", self.accumulate,
                 f"such that batch={self.batch} splits into equal multiples of model.mbstd_group={group}"
                 + (f" in each of {self.processes} processes" if self.processes > 1 else ""))  # fmt: skip

    def _check_game(self) -> None:
        require(self.adversarial.name != "relativistic" or self.augment.name != "ada", "augment", self.augment.name,
                 "another one with adversarial=relativistic: there, the sign of D's logits, which ada follows, has no "
                 "meaning")  # fmt: skip
        if self.discriminator.name == "projected":
            require(not self.model.multi_scale, "model.multi_scale", self.model.multi_scale,
                     "false with discriminator=projected, which reads one scale")  # fmt: skip
            require(self.freeze_d == 0, "freeze_d", self.freeze_d,
                     "0 with discriminator=projected, whose network is frozen as a whole")  # fmt: skip

    def unread_weights(self) -> list[str]:
        """Return the keys of weights and temperatures that no term has, such as h and C_ii with loss=lafite."""
        read = set()
        for _, space, pair, term in self.loss.terms():
            own = {f"S.{space}": term.S, f"C_{pair}": term.C, f"loss.temperature.{space}": term.temperature}
            read |= {key for key, value in own.items() if value is None}
            factors = (term.h, term.heterologous, self.loss.heterologous)
            if self.h == next(factor for factor in factors if factor is not None):  # ${h}, or the same number
                read.add("h")
        of_spaces = (f"{key}.{space}" for key in ("S", "loss.temperature") for space in SPACES)
        return [key for key in ("h", *(f"C_{pair}" for pair in PAIRS), *of_spaces) if key not in read]

    def gradient_penalties(self) -> dict[str, float]:
        """Return the weights gamma of D's gradient penalties that are on: r1 on real images, r2 on generated ones."""
        gammas = {"r1": self.model.r1_gamma, "r2": self.adversarial.r2_gamma}
        return {name: gamma for name, gamma in gammas.items() if gamma}

    def _check_init(self) -> None:
        require(self.init is None or self.resume in ("auto", "none"), "init", self.init,
                 f"null with resume={self.resume}: a run goes on, or it starts from weights")  # fmt: skip
        require(self.init != MLFLOW_RUN, "init", self.init, "a checkpoint file, or mlflow: and the id of a run")
        by_run = self.init is not None and self.init.startswith(MLFLOW_RUN)
        require(not by_run or self.mlflow.tracking_uri is not None, "init", self.init,
                 "a file where mlflow.tracking_uri=null")  # fmt: skip
        require(self.freeze_d == 0 or self.init is not None, "freeze_d", self.freeze_d,
                 "0 without init: random layers must train")  # fmt: skip
        each = 4 if self.model.multi_scale else 3  # a block's convolutions, and the one that combines scales
        layers = 1 + each * (self.resolution.bit_length() - 3)  # from RGB, and the blocks down to 4 x 4
        require(0 <= self.freeze_d <= layers, "freeze_d", self.freeze_d,
                 f"from 0 to {layers} at resolution={self.resolution}")  # fmt: skip
