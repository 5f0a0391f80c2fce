"""The typed configuration: YAML becomes these dataclasses once, at the door, and bad values are refused here.

Units: kimg = 1000 real images shown to the discriminator. `null` means what the field's comment says.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from clipgan.checks import at_least as _at_least
from clipgan.checks import name as _name
from clipgan.checks import one_of as _one_of
from clipgan.checks import positive as _positive
from clipgan.checks import require as _require
from clipgan.checks import weight as _weight
from clipgan.errors import UserError
from clipgan.secrets import without_passwords
from clipgan.simclr.config import SimclrConfig

SPACES = ("D", "CLIP", "ResNet")
PAIRS = ("it", "ii")
HETEROLOGOUS = ("direction", "source")
SIMILARITIES = ("cos", "exp_cos")
COLDEST = 1e-4  # temperature: below it float32 has no digits left for the differences of cosines over it
COLDEST_EXP_COS = 0.02  # exp(1 / tau) is no number in float32 below about 0.0113
FEATURES = ("preprocessed", "online")
DATA_SETS = ("shapes", "emoji", "folder", "metadata", "coco", "cub", "celeba_hq", "webdataset", "lafite_zip",
             "imagefolder", "cifar10", "cifar100")  # fmt: skip
PRECISIONS = ("float32", "bfloat16")
TRAINING_PRECISIONS = ("auto", "fp32", "tf32", "bf16", "fp16")
COMPILE_MODES = ("default", "reduce-overhead", "max-autotune")
MLFLOW_RUN = "mlflow:"  # before the id of a run whose weights to start from
EXTRACTORS = ("inception", "judge")
MOMENTS = ("never", "end", "snapshot")
MEASURES = ("fid_sd", "kid", "precision_recall", "inception_score", "clip_score", "r_precision", "accuracy")
GANS_OWN = (  # keys that task=simclr does not read
    "loss", "condition", "resnet", "model", "augment", "metrics", "clip@metrics.judge", "contrast", "S", "h",
    "heterologous", "C_it", "C_ii", "kimg", "snapshot_kimg", "init", "freeze_d", "compile", "sample_prompts",
    "sample_latents", "mlflow.log_model",
)  # fmt: skip
AUGMENTATIONS = {  # name -> kinds of transforms
    "none": (),
    "diffaugment": ("colour", "translation", "cutout"),
    "ada": ("blit", "geometry", "colour"),
}
PAIR_SELECTIONS = ("plain", "add_new_positive", "drop_false_positive", "drop_false_negative", "drop_easy_negative",
                   "weakly_supervised")  # fmt: skip


def _temperature(key: str, value: float) -> None:
    _require(math.isfinite(value) and value >= COLDEST, key, value, f"a finite number >= {COLDEST}")


@dataclass
class SpaceWeights:
    """Structure parameters S_s, one for each space (source notes: 1 : 2 : 1)."""

    D: float = 1.0
    CLIP: float = 2.0
    ResNet: float = 1.0

    def __post_init__(self) -> None:
        for space in SPACES:
            _weight(f"S.{space}", getattr(self, space))


@dataclass
class Temperatures:
    """InfoNCE temperature tau of each space."""

    D: float = 0.5
    CLIP: float = 0.5
    ResNet: float = 0.5

    def __post_init__(self) -> None:
        for space in SPACES:
            _temperature(f"loss.temperature.{space}", getattr(self, space))


@dataclass
class TermConfig:
    """What one term has of its own; null: what the whole structure has."""

    S: float | None = None
    C: float | None = None
    h: float | None = None  # factor of its heterologous direction
    temperature: float | None = None


@dataclass
class SpaceTerms:
    """The pairs that one space carries in one network's loss; null: not this one, {}: with the common weights."""

    it: TermConfig | None = None  # image-text
    ii: TermConfig | None = None  # image-image


@dataclass
class LossConfig:
    """A loss structure: which pairs each space carries in each network's loss, and how the two directions weigh.

    `generator` and `discriminator` map a space to its pairs, and a pair to what its term has of its own (mostly
    nothing): `CLIP: {it: {h: 0.1}, ii: {}}`.
    """

    name: str
    generator: dict[str, SpaceTerms]  # by space, in the generator's loss
    discriminator: dict[str, SpaceTerms]  # in the discriminator's; only D trains in it
    heterologous: float  # factor of L(b -> a), anchor the target; the YAML says ${h}
    homologous: float = 1.0  # factor of L(a -> b), anchor the image
    temperature: Temperatures = field(default_factory=Temperatures)
    similarity: str = "cos"  # inside the softmax: cos / tau, or LAFITE's published exp(cos / tau)

    def __post_init__(self) -> None:
        _one_of("loss.similarity", self.similarity, SIMILARITIES)
        for phase, allowed in (("generator", SPACES), ("discriminator", ("D",))):
            for space in getattr(self, phase):
                if space not in allowed:
                    raise UserError(f"loss.{phase}.{space} is not allowed: it must be {' or '.join(allowed)}")
        for phase, space, pair, term in self.terms():
            _check_term(f"loss.{phase}.{space}.{pair}", term)
        if self.similarity == "exp_cos":
            for key, value in self._temperatures().items():
                _require(value >= COLDEST_EXP_COS, key, value, f">= {COLDEST_EXP_COS} with loss.similarity=exp_cos")

    def terms(self) -> Iterator[tuple[str, str, str, TermConfig]]:
        """Phase (generator or discriminator), space, pair, and what the term has of its own; always in one order."""
        for phase in ("generator", "discriminator"):
            structure: dict[str, SpaceTerms] = getattr(self, phase)
            for space, pair in itertools.product(SPACES, PAIRS):
                term: TermConfig | None = getattr(structure.get(space), pair, None)
                if term is not None:
                    yield phase, space, pair, term

    def _temperatures(self) -> dict[str, float]:
        """Every temperature by its key."""
        common = {f"loss.temperature.{space}": getattr(self.temperature, space) for space in SPACES}
        own = {f"loss.{'.'.join(place)}.temperature": term.temperature for *place, term in self.terms()}
        return common | {key: value for key, value in own.items() if value is not None}


def _check_term(key: str, term: TermConfig) -> None:
    for name, value in vars(term).items():
        if value is not None:
            (_temperature if name == "temperature" else _weight)(f"{key}.{name}", value)


@dataclass
class PairsConfig:
    """Pair selection: which candidates are positives, and which negatives count, by the cached CLIP similarities."""

    name: str = "plain"
    fraction: float | None = None  # drop_*: how many of the N positives, or of an anchor's negatives, are dropped
    k: int | None = None  # add_new_positive, weakly_supervised: how many nearest neighbours
    similarity: str = "image"  # between samples i and j: image: v_i . v_j | text: u_i . u_j

    def __post_init__(self) -> None:
        _one_of("pairs.name", self.name, PAIR_SELECTIONS)
        _one_of("pairs.similarity", self.similarity, ("image", "text"))
        neighbours = self.name in ("add_new_positive", "weakly_supervised")
        _require(self.k is None or neighbours, "pairs.k", self.k, f"null for pairs={self.name}")
        drops = self.name.startswith("drop_")
        _require(self.fraction is None or drops, "pairs.fraction", self.fraction, f"null for pairs={self.name}")
        if drops:
            _require(self.fraction is not None and 0 <= self.fraction < 1, "pairs.fraction", self.fraction,
                     f"a number from 0 to less than 1 for pairs={self.name}")  # fmt: skip
        if neighbours:
            _require(self.k is not None and self.k >= 1, "pairs.k", self.k, f"an integer >= 1 for pairs={self.name}")


@dataclass
class ConditionConfig:
    """What G and D are told of an image (LAFITE, arXiv:2111.13792, section 3): its caption, or a pseudo text."""

    name: str = "text"
    text_noise: float = 0.1  # length of the noise on a caption's features, relative to them
    language_free: float = 0.0  # probability that pseudo text stands for the caption; 1: no caption is ever read
    image_noise: float = 0.75  # length of the noise that makes an image's features a pseudo text, relative to them

    def __post_init__(self) -> None:
        _weight("condition.text_noise", self.text_noise)
        _weight("condition.image_noise", self.image_noise)
        _require(0 <= self.language_free <= 1, "condition.language_free", self.language_free, "between 0 and 1")


@dataclass
class ContrastConfig:
    """More to contrast against, without more passes through an encoder."""

    negatives: int = 0  # K targets of other images, drawn from the feature cache in each step
    grad_cache: bool = False  # with accumulate > 1: contrast over the whole batch (arXiv:2101.06983)
    every: int = 1  # steps from one contrast to the next, which weighs as much more; the others are adversarial alone

    def __post_init__(self) -> None:
        _at_least("contrast.every", self.every, 1)
        _at_least("contrast.negatives", self.negatives, 0)


@dataclass
class TinyClipTraining:
    """How the small CLIP is trained on the data set itself."""

    seed: int = 0
    steps: int = 500
    batch: int = 64
    lr: float = 1e-3  # peak of the cosine schedule
    min_attribute_accuracy: float = 0.85  # gate on the shapes set; other sets have no attributes to swap

    def __post_init__(self) -> None:
        _at_least("clip.train.steps", self.steps, 1)
        _at_least("clip.train.batch", self.batch, 4)
        _positive("clip.train.lr", self.lr)
        _require(0 <= self.min_attribute_accuracy <= 1, "clip.train.min_attribute_accuracy",
                 self.min_attribute_accuracy, "between 0 and 1")  # fmt: skip


@dataclass
class ClipConfig:
    """The frozen CLIP backbone."""

    name: str = "tiny"  # how this project calls it
    model: str = "clipgan-tiny"  # open_clip's model name
    pretrained: str | None = None  # open_clip's tag of the weights; null: train (tiny) or checkpoint
    checkpoint: str | None = None  # a weights file, in place of `pretrained`
    precision: str = "float32"  # bfloat16: autocast; whether that is faster: python -m clipgan.encoders.cost
    grad_checkpointing: bool = False  # activations of a transformer's blocks are computed again in the backward pass
    # in place of being kept: less memory for G's step, a third more time in the tower
    train: TinyClipTraining | None = None  # set for `tiny` only

    def __post_init__(self) -> None:
        _one_of("clip.precision", self.precision, PRECISIONS)
        sources = (self.pretrained, self.checkpoint, self.train)
        _require(any(source is not None for source in sources), "clip.checkpoint", self.checkpoint,
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
        _at_least("resnet.train.steps", self.steps, 1)
        _at_least("resnet.train.batch", self.batch, 2)
        _positive("resnet.train.lr", self.lr)
        _positive("resnet.train.temperature", self.temperature)


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
        _positive("resnet.ridge", self.ridge)
        _one_of("resnet.precision", self.precision, PRECISIONS)
        if self.name == "simclr":
            _require(self.run is not None or self.checkpoint is not None, "resnet.run", self.run,
                     "latest or the id of an MLflow run of task=simclr")  # fmt: skip
            return
        _require(self.run is None, "resnet.run", self.run, f"null for resnet={self.name}")
        sources = (self.pretrained, self.checkpoint, self.train)
        _require(any(source is not None for source in sources), "resnet.checkpoint", self.checkpoint,
                 "a weights file where neither resnet.pretrained nor resnet.train is set")  # fmt: skip


@dataclass
class DataConfig:
    """The captioned images."""

    name: str = "shapes"
    path: str | None = None  # where the data lie; emoji: an unpacked or packed emoji-datasource-google, null: npm
    heldout_path: str | None = None  # where held-out images lie, in the same format; null: the format's own validation
    # split, or without one a random part of `path`; shapes and emoji have none
    caption_column: str = "text"  # metadata only
    n_train: int = 20000  # shapes only
    n_heldout: int = 2000  # shapes only
    heldout_fraction: float = 0.1  # of a split drawn at random
    seed: int = 0  # of the drawing (shapes) and of the split
    fid_split: str = "heldout"  # whose images are FID's real ones and whose captions its prompts: train | heldout
    x_flip: bool = True  # mirror half of the images; off where captions say left and right

    def __post_init__(self) -> None:
        _one_of("data.name", self.name, DATA_SETS)
        _at_least("data.n_train", self.n_train, 2)
        _at_least("data.n_heldout", self.n_heldout, 2)
        _require(0 < self.heldout_fraction < 1, "data.heldout_fraction", self.heldout_fraction, "between 0 and 1")
        _one_of("data.fid_split", self.fid_split, ("train", "heldout"))
        _require(self.name in ("shapes", "emoji") or self.path is not None, "data.path", self.path,
                 f"the place of the data for data={self.name}")  # fmt: skip
        _require(bool(self.caption_column), "data.caption_column", self.caption_column, "the name of a column")


@dataclass
class LafiteConfig:
    """What LAFITE's published networks have beside StyleGAN2's widths."""

    conv_clamp: float = 256.0  # activations are cut to +- this
    joined_to: int = 256  # up to this resolution a style is a layer of [text, w]; above it text scales and shifts A w
    unit_features: bool = False  # whether D's semantic feature has unit length before the text multiplies it

    def __post_init__(self) -> None:
        _require(self.conv_clamp > 0, "model.lafite.conv_clamp", self.conv_clamp, "a number > 0, or inf")


@dataclass
class ModelConfig:
    """Generator, discriminator and their optimisation, in StyleGAN2's terms."""

    name: str = "tiny"
    lafite: LafiteConfig | None = None  # the architecture of LAFITE; null: this project's own
    z_dim: int = 128
    w_dim: int = 128
    text_dim: int = 128  # width of the text condition inside G's styles and D's projection
    mapping_layers: int = 4
    channel_base: int = 1024  # channels at resolution r: min(channel_base / r, channel_max)
    channel_max: int = 64
    channel_multiplier: float = 1.0  # capacity: of the channels at each resolution, rounded
    mapping_multiplier: float = 1.0  # capacity: of mapping_layers, rounded
    multi_scale: bool = False  # MSG-GAN (arXiv:1903.06048): D sees G's RGB at every resolution; not with lafite
    mbstd_group: int = 4  # minibatch-stddev group size
    g_lr: float = 2e-3
    d_lr: float = 2e-3
    r1_gamma: float = 1.0
    r1_interval: int = 16  # steps between lazy R1
    pl_weight: float = 2.0  # path-length regularisation; 0: off
    pl_interval: int = 4
    style_mixing: float = 0.9  # probability
    ema_kimg: float = 5.0  # half-life of G's moving average
    ema_rampup: float = 0.05  # half-life is at most this fraction of the kimg so far; not with init

    def __post_init__(self) -> None:
        for key in ("z_dim", "w_dim", "text_dim", "mapping_layers", "channel_base", "channel_max", "mbstd_group",
                    "r1_interval", "pl_interval"):  # fmt: skip
            _at_least(f"model.{key}", getattr(self, key), 1)
        for key in ("g_lr", "d_lr", "ema_kimg", "channel_multiplier", "mapping_multiplier"):
            _positive(f"model.{key}", getattr(self, key))
        for key in ("r1_gamma", "pl_weight", "ema_rampup"):
            _weight(f"model.{key}", getattr(self, key))
        _require(0 <= self.style_mixing <= 1, "model.style_mixing", self.style_mixing, "between 0 and 1")
        _require(self.lafite is None or not self.multi_scale, "model.multi_scale", self.multi_scale,
                 "false with LAFITE's networks (model.lafite)")  # fmt: skip


@dataclass
class AugmentConfig:
    """What changes images before D sees them; `clipgan.augmentation` says what that does to f_D."""

    name: str = "none"
    policy: list[str] = field(default_factory=list)  # the kinds of transforms, one after the other
    target: float | None = None  # ada: r_t, the mean sign of D's logits of real images, that p is to lead to
    interval: int | None = None  # ada: steps from one change of p to the next
    kimg: float | None = None  # ada: in which p can go from 0 to 1

    def __post_init__(self) -> None:
        _one_of("augment.name", self.name, tuple(AUGMENTATIONS))
        allowed = AUGMENTATIONS[self.name]
        fits = bool(self.policy) == bool(allowed) and len(set(self.policy)) == len(self.policy)
        _require(fits and set(self.policy) <= set(allowed), "augment.policy", self.policy,
                 f"some of [{', '.join(allowed)}], each once, for augment={self.name}" if allowed
                 else f"[] for augment={self.name}")  # fmt: skip
        if self.name != "ada":
            for key in ("target", "interval", "kimg"):
                value = getattr(self, key)
                _require(value is None, f"augment.{key}", value, f"null for augment={self.name}")
            return
        _require(self.target is not None and -1 < self.target < 1, "augment.target", self.target,
                 "a number between -1 and 1 for augment=ada")  # fmt: skip
        _require(self.interval is not None and self.interval >= 1, "augment.interval", self.interval,
                 "an integer >= 1 for augment=ada")  # fmt: skip
        _require(self.kimg is not None and math.isfinite(self.kimg) and self.kimg > 0, "augment.kimg", self.kimg,
                 "a finite number > 0 for augment=ada")  # fmt: skip


@dataclass
class MetricsConfig:
    """FID's protocol, the measures beside it, and what a trial returns; `clipgan.metrics.protocol` names the figures.

    A measure is computed never, at the end of a training, or at each snapshot; all of them read the same images.
    """

    name: str = "fid2k_clip_tiny"
    extractor: str = "judge"  # whose features are compared: inception (torch-fidelity's) | judge (its image tower)
    inception_weights: str | None = None  # null: torch-fidelity's usual cache
    n_images: int = 2000  # generated images
    split: str | None = None  # whose captions are the prompts and whose images the real ones; null: data.fid_split
    real: str = "prompted"  # the real images: prompted (those whose captions are prompts) | all (of the split)
    captions: str = "first"  # the prompts: first (an image's first caption, images evenly chosen) | random (any)
    resize: str = "extractor"  # to Inception's 299 px: extractor (its own, TensorFlow 1's bilinear) | bicubic
    # (antialiased); the judge resizes as it was trained
    weights: str = "ema"  # of the generator: ema (the moving average) | raw
    batch: int = 50  # images that an extractor takes at once; memory and the last bits depend on it
    objective: str = "last"  # what a trial returns: its last FID, or its best
    fid_sd: str = "end"  # FID's standard deviation over latents; makes the images a second time
    kid: str = "end"  # kernel distance and its standard deviation over subsets
    precision_recall: str = "end"  # improved precision and recall (arXiv:1904.06991)
    inception_score: str = "never"  # with extractor=inception alone
    clip_score: str = "end"  # 100 max(cos, 0) of image and caption, by the judge
    r_precision: str = "snapshot"  # share of images whose caption the judge finds among 100
    accuracy: str = "never"  # shapes only: colour, shape, size and position read off the image, against the caption
    judge: ClipConfig | None = None  # a CLIP that does not guide; null: none

    def __post_init__(self) -> None:
        _one_of("metrics.extractor", self.extractor, EXTRACTORS)
        _one_of("metrics.objective", self.objective, ("last", "best"))
        _at_least("metrics.n_images", self.n_images, 2)
        _at_least("metrics.batch", self.batch, 1)
        if self.split is not None:
            _one_of("metrics.split", self.split, ("train", "heldout"))
        for key, allowed in (
            ("real", ("prompted", "all")),
            ("captions", ("first", "random")),
            ("resize", ("extractor", "bicubic")),
            ("weights", ("ema", "raw")),
            *((measure, MOMENTS) for measure in MEASURES),
        ):
            _one_of(f"metrics.{key}", getattr(self, key), allowed)
        _require(self.real == "all" or self.captions == "first", "metrics.real", self.real,
                 "all with metrics.captions=random")  # fmt: skip
        _require(self.extractor == "inception" or self.resize == "extractor", "metrics.resize", self.resize,
                 "extractor with metrics.extractor=judge")  # fmt: skip
        _require(self.extractor == "inception" or self.inception_score == "never", "metrics.inception_score",
                 self.inception_score, "never with metrics.extractor=judge")  # fmt: skip
        _require(self.n_images >= 10 or self.inception_score == "never", "metrics.n_images", self.n_images,
                 "at least 10 with metrics.inception_score, which splits them into ten parts")  # fmt: skip
        judged = [key for key in ("clip_score", "r_precision") if getattr(self, key) != "never"]
        judged = ["extractor=judge"] if self.extractor == "judge" else judged
        _require(self.judge is not None or not judged, "metrics.judge", self.judge,
                 f"a CLIP (clip@metrics.judge=NAME) where metrics.{(judged or [''])[0]} asks for it")  # fmt: skip


@dataclass
class MlflowConfig:
    """Where the figures go besides metrics.jsonl."""

    tracking_uri: str | None = "sqlite:///mlflow.db"  # null: no MLflow
    experiment: str = "clipgan"
    log_model: bool = True  # the generator, once, at the end of a training that reaches it

    def __post_init__(self) -> None:
        _require(self.experiment.strip() != "" and self.experiment.isprintable(), "mlflow.experiment",
                 repr(self.experiment), "a name of printable characters")  # fmt: skip


@dataclass
class Config:
    """One training."""

    loss: LossConfig
    clip: ClipConfig
    resnet: ResNetConfig
    data: DataConfig
    model: ModelConfig
    metrics: MetricsConfig
    mlflow: MlflowConfig
    S: SpaceWeights
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    pairs: PairsConfig = field(default_factory=PairsConfig)
    condition: ConditionConfig = field(default_factory=ConditionConfig)
    contrast: ContrastConfig = field(default_factory=ContrastConfig)
    h: float = 0.5  # heterologous parameter: factor of the primed terms
    heterologous: str = "direction"  # what they are: direction: anchor the target; source: terms on generated images
    C_it: float = 0.5
    C_ii: float = 0.5
    seed: int = 0
    batch: int = 16  # images a step
    accumulate: int = 1  # micro-batches that a step is computed in, one after the other, to save memory
    kimg: int = 8
    snapshot_kimg: int = 2  # kimg between two snapshots (FID, sample grid, checkpoint)
    resolution: int = 32
    features: str = "preprocessed"  # of the real images: preprocessed once, or online in every step
    device: str = "auto"  # auto | cpu | cuda | cuda:1 ...
    processes: int = 1  # that share a training's batch: each computes on a GPU of its own, or all on the CPU
    threads: int | None = None  # CPU threads of torch in each; null: as many as cores
    precision: str = "auto"  # of G and D in training: fp32 | tf32 | bf16 | fp16; auto: the device's fastest
    compile: str | None = None  # torch.compile's mode for G, D, encoders; reduce-overhead: CUDA graphs; null: off
    deterministic: bool | None = None  # repeats itself bit for bit (same machine, same threads); null: on a CPU
    keep_last: int | None = 2  # checkpoints of the newest snapshots that stay; null: all
    keep_best: int = 1  # and of those with the lowest FID
    checkpoint_minutes: float | None = 10.0  # at most so long between two checkpoints; null: at snapshots alone
    resume: str = "auto"  # auto: the run directory's newest good checkpoint if any | none | a checkpoint file
    init: str | None = None  # weights to start from: a checkpoint file | mlflow:RUN_ID; null: random
    freeze_d: int = 0  # Freeze-D (arXiv:2002.10964): D's layers, counted from the image, that keep `init`'s weights
    cache_dir: str | None = None  # null: clipgan/ in the user's cache home
    sample_prompts: int = 6  # rows of the sample grid
    sample_latents: int = 8  # columns of the sample grid
    simclr: SimclrConfig | None = None  # task=simclr: an encoder is pretrained; null: a GAN is trained
    epochs: int | None = None  # task=simclr: length; a GAN counts kimg
    snapshot_epochs: int | None = None  # task=simclr: epochs between two snapshots (linear evaluation, checkpoint)

    def __post_init__(self) -> None:
        self._check_common()
        if self.simclr is not None:
            self._check_simclr()
        else:
            self._check_gan()

    def _check_common(self) -> None:
        _name("clip.name", self.clip.name)
        if self.metrics.judge is not None:
            _name("metrics.judge.name", self.metrics.judge.name)
        _at_least("batch", self.batch, 2)
        _at_least("keep_best", self.keep_best, 0)
        if self.keep_last is not None:
            _at_least("keep_last", self.keep_last, 1)
        if self.checkpoint_minutes is not None:
            _require(self.checkpoint_minutes >= 0, "checkpoint_minutes", self.checkpoint_minutes, "a number >= 0")
        _require(self.seed >= 0, "seed", self.seed, "an integer >= 0")
        power_of_two = self.resolution > 0 and self.resolution & (self.resolution - 1) == 0
        _require(power_of_two and 8 <= self.resolution <= 1024, "resolution", self.resolution,
                 "a power of two from 8 to 1024")  # fmt: skip
        _one_of("features", self.features, FEATURES)
        _one_of("precision", self.precision, TRAINING_PRECISIONS)
        if self.threads is not None:
            _at_least("threads", self.threads, 1)
        _require((self.pairs.k or 0) < self.batch - 1, "pairs.k", self.pairs.k,
                 f"less than batch={self.batch} - 1: some candidates must stay negatives")  # fmt: skip
        _at_least("processes", self.processes, 1)
        _at_least("accumulate", self.accumulate, 1)

    def _check_simclr(self) -> None:
        for key in ("epochs", "snapshot_epochs"):
            value = getattr(self, key)
            _require(value is not None and value >= 1, key, value, "an integer >= 1 with task=simclr")
        _require(self.pairs.similarity == "image" or self.features == "preprocessed", "pairs.similarity",
                 self.pairs.similarity, "image with features=online: an augmented view has no caption")  # fmt: skip
        _require(self.batch % (self.processes * self.accumulate) == 0, "accumulate", self.accumulate,
                 f"such that batch={self.batch} splits into equal parts"
                 + (f" in each of {self.processes} processes" if self.processes > 1 else ""))  # fmt: skip

    def _check_gan(self) -> None:
        for key in ("epochs", "snapshot_epochs"):
            _require(getattr(self, key) is None, key, getattr(self, key), "null without task=simclr: a GAN counts kimg")
        for key in ("h", "C_it", "C_ii"):
            _weight(key, getattr(self, key))
        for key in ("homologous", "heterologous"):  # after h, which they are made of, so that a bad h is called h
            _weight(f"loss.{key}", getattr(self.loss, key))
        _one_of("heterologous", self.heterologous, HETEROLOGOUS)
        _require(self.heterologous == "direction" or self.loss.homologous > 0, "heterologous", self.heterologous,
                 f"direction for loss={self.loss.name}, which has no homologous part")  # fmt: skip
        for key in ("kimg", "snapshot_kimg", "sample_prompts", "sample_latents"):
            _at_least(key, getattr(self, key), 1)
        self._check_init()
        if self.compile is not None:
            _one_of("compile", self.compile, COMPILE_MODES)
        group = min(self.model.mbstd_group, self.batch)
        _require(self.batch % group == 0, "batch", self.batch, f"a multiple of model.mbstd_group={group}")
        _require(self.contrast.negatives == 0 or self.loss.homologous > 0, "contrast.negatives",
                 self.contrast.negatives, f"0 for loss={self.loss.name}, which has no homologous part")  # fmt: skip
        if self.heterologous == "source":
            for phase, space, pair, own in self.loss.terms():
                _require(phase == "generator" or own.h is None, f"loss.{phase}.{space}.{pair}.h", own.h,
                         "null with heterologous=source, where h weighs terms on generated images")  # fmt: skip
        _require(self.batch % (self.processes * group) == 0, "processes", self.processes,
                 f"such that batch={self.batch} splits into equal multiples of model.mbstd_group={group}")  # fmt: skip
        each = self.batch // self.processes
        _require(each % (self.accumulate * group) == 0, "accumulate", self.accumulate,
                 f"such that batch={self.batch} splits into equal multiples of model.mbstd_group={group}"
                 + (f" in each of {self.processes} processes" if self.processes > 1 else ""))  # fmt: skip
        if self.condition.language_free:
            _require(self.pairs.name != "drop_false_positive", "pairs", self.pairs.name,
                     "another where condition.language_free > 0: no pseudo text says how well it fits")  # fmt: skip
            _require(self.pairs.similarity == "image", "pairs.similarity", self.pairs.similarity,
                     "image where condition.language_free > 0")  # fmt: skip
        _require(self.data.name == "shapes" or self.metrics.accuracy == "never", "metrics.accuracy",
                 self.metrics.accuracy, f"never with data={self.data.name}: the oracle reads drawn shapes")  # fmt: skip

    def _check_init(self) -> None:
        _require(self.init is None or self.resume in ("auto", "none"), "init", self.init,
                 f"null with resume={self.resume}: a run goes on, or it starts from weights")  # fmt: skip
        _require(self.init != MLFLOW_RUN, "init", self.init, "a checkpoint file, or mlflow: and the id of a run")
        by_run = self.init is not None and self.init.startswith(MLFLOW_RUN)
        _require(not by_run or self.mlflow.tracking_uri is not None, "init", self.init,
                 "a file where mlflow.tracking_uri=null")  # fmt: skip
        _require(self.freeze_d == 0 or self.init is not None, "freeze_d", self.freeze_d,
                 "0 without init: random layers must train")  # fmt: skip
        each = 4 if self.model.multi_scale else 3  # a block's convolutions, and the one that combines scales
        layers = 1 + each * (self.resolution.bit_length() - 3)  # from RGB, and the blocks down to 4 x 4
        _require(0 <= self.freeze_d <= layers, "freeze_d", self.freeze_d,
                 f"from 0 to {layers} at resolution={self.resolution}")  # fmt: skip


def from_yaml(node: Any) -> Config:
    """The door: a composed OmegaConf node becomes a `Config`.

    Args:
        node: an OmegaConf DictConfig (or a plain mapping) with every key of `Config` that has no default.

    Raises:
        UserError: an unknown key, a value of the wrong type, or a value out of range; the message quotes it.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    for phase in ("generator", "discriminator"):
        terms = OmegaConf.select(OmegaConf.create(node), f"loss.{phase}")
        _require(terms is None or OmegaConf.is_dict(terms), f"loss.{phase}", terms, "a mapping of spaces")
        for space, pairs in (terms or {}).items():
            _require(
                OmegaConf.is_dict(pairs), f"loss.{phase}.{space}", pairs, "a mapping, such as {it: {}, ii: {h: 0.1}}"
            )
    try:
        missing = sorted(OmegaConf.missing_keys(node))
        if missing:
            raise UserError(f"{missing[0]} is missing: give {missing[0]}=VALUE")
        merged = OmegaConf.merge(OmegaConf.structured(Config), node)
        config = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        reason = str(error.msg if hasattr(error, "msg") and error.msg else error).splitlines()[0]
        key = getattr(error, "full_key", None)
        raise UserError(f"{key}: {reason}" if key else reason) from error
    assert isinstance(config, Config)
    return config


def refuse_unread(config: Config, given: Iterable[str]) -> None:
    """Refuse what the task does not read.

    Args:
        config: the run.
        given: the keys and groups of its command line.

    Raises:
        UserError: names the first one that would change nothing.
    """
    if config.simclr is None:
        return
    for key in given:
        if any(key == own or key.startswith((f"{own}.", f"{own}@")) for own in GANS_OWN):
            raise UserError(f"{key} is not read by task=simclr, which trains no GAN: leave it out")


def plain(config: Config) -> dict[str, Any]:
    """The configuration as it may be written down: nested plain values, without a password in the tracking URI."""
    content = asdict(config)
    uri = content["mlflow"]["tracking_uri"]
    content["mlflow"]["tracking_uri"] = uri and without_passwords(uri)
    return content


def flatten(config: Config | Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys to plain values, for parameters in a tracker."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, child in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), child)
        else:
            flat[prefix] = value

    walk("", config if isinstance(config, Mapping) else plain(config))
    return flat
