"""`metrics`: what is measured of a generator, and how."""

from dataclasses import dataclass
from pathlib import Path

from clipgan.config.checks import at_least, one_of, require
from clipgan.config.encoders import ClipConfig
from clipgan.config.measure_registry import MEASURES, MOMENTS, OBJECTIVES, Measures, Need, possible_objectives

EXTRACTORS = ("inception", "judge")
SPLITS = ("train", "heldout")
CAPTIONS = ("first", "random", "one")
LISTS = (".txt", ".csv")  # suffixes of a list of captions


@dataclass
class MetricsConfig(Measures):
    """FID's protocol, when the other measures are due, and which metric a trial returns.

    All measures read the same images; `clipgan.metrics.metric_names` names the metrics.
    """

    name: str = "fid2k_clip_tiny64"  # name of the protocol
    extractor: str = "judge"  # whose features are compared: inception (torch-fidelity's) | judge (its image tower)
    inception_weights: str | None = None  # Inception's weights; null: torch hub's cache, where torch-fidelity puts them
    dinov2_weights: str | None = None  # DINOv2's ViT-L/14 for fd_dinov2; null: timm's, from the hub or its cache
    cmmd_weights: str | None = None  # CLIP's ViT-L/14@336 for cmmd; null: OpenAI's, from the hub or its cache
    n_images: int = 2000  # number of generated images
    split: str | None = None  # split of the prompts and the real images: train | heldout; null: data.fid_split
    prompt_split: str | None = None  # split of the prompts: train | heldout; null: metrics.split
    real_split: str | None = None  # split of the real images: train | heldout; null: metrics.split
    real: str = "prompted"  # the real images: prompted (those whose captions are prompts) | all (of the split)
    captions: str = "first"  # the prompts: first (first captions, images evenly chosen) | random (any) | one | FILE
    # one: a random caption of each of random images; FILE.txt or FILE.csv: a list of captions, one for each image
    resize: str = "extractor"  # resizing to 299 pixels: extractor (TensorFlow 1's bilinear) | bicubic (antialiased)
    # Inception needs 299 pixels; the judge resizes as it was trained.
    weights: str = "ema"  # the generator's weights: ema (their moving average) | raw
    batch: int = 200  # largest number of images that an extractor takes at once; memory and the last bits depend on it
    objective: str | None = None  # metric that a trial returns: fid | fjd | accuracy | r_precision | r_precision_hard
    # Null: fjd where there are captions and a judge, else fid.
    returns: str = "last"  # value of the objective that a trial returns: last | best
    judge: ClipConfig | None = None  # a CLIP that does not guide; null: none

    def __post_init__(self) -> None:
        one_of("metrics.extractor", self.extractor, EXTRACTORS)
        if self.objective in ("last", "best"):  # of version 0.1.0, in which FID was the only objective
            self.returns, self.objective = self.objective, "fid"
        one_of("metrics.returns", self.returns, ("last", "best"))
        if self.objective is not None:
            one_of("metrics.objective", self.objective, tuple(OBJECTIVES), "null")
        at_least("metrics.n_images", self.n_images, 2)
        at_least("metrics.batch", self.batch, 1)
        for key in ("split", "prompt_split", "real_split"):
            if getattr(self, key) is not None:
                one_of(f"metrics.{key}", getattr(self, key), SPLITS, "null")
        if self.caption_list is None:
            one_of("metrics.captions", self.captions, (*CAPTIONS, "FILE.txt", "FILE.csv"))
        for key, allowed in (
            ("real", ("prompted", "all")),
            ("resize", ("extractor", "bicubic")),
            ("weights", ("ema", "raw")),
            *((measure, MOMENTS) for measure in MEASURES),
        ):
            one_of(f"metrics.{key}", getattr(self, key), allowed)
        require(self.real == "all" or self.captions == "first", "metrics.real", self.real,
                 f"all with metrics.captions={self.captions}")  # fmt: skip
        require(self.real == "all" or self.prompt_split == self.real_split, "metrics.real", self.real,
                 "all where prompts and real images are of different splits")  # fmt: skip
        require(self.extractor == "inception" or self.resize == "extractor", "metrics.resize", self.resize,
                 "extractor with metrics.extractor=judge")  # fmt: skip
        require(self.judge is None or self.judge.precision != "mixed", "metrics.judge.precision", "mixed",
                 "auto (float32), float32 or bfloat16: no training step uses the judge")  # fmt: skip
        for measure in self.asked(Need.INCEPTION):
            require(self.extractor == "inception", f"metrics.{measure}", getattr(self, measure),
                     "never with metrics.extractor=judge")  # fmt: skip
        require(self.n_images >= 10 or self.inception_score == "never", "metrics.n_images", self.n_images,
                 "at least 10 with metrics.inception_score, which splits them into ten parts")  # fmt: skip
        judged = ["extractor=judge"] if self.extractor == "judge" else self.asked(Need.JUDGE)
        require(self.judge is not None or not judged, "metrics.judge", self.judge,
                 f"a CLIP (clip@metrics.judge=NAME) where metrics.{(judged or [''])[0]} asks for it")  # fmt: skip

    @property
    def caption_list(self) -> Path | None:
        """The file of a fixed list of captions; None: the prompts are captions of the data set."""
        path = Path(self.captions)
        return path if path.suffix.lower() in LISTS else None

    def check_objective(self, data: str, *missing: Need) -> None:
        """Refuse an objective that the data set or the missing judge cannot give.

        Args:
            data: name of the data set, which the message quotes.
            missing: the needs that the data set does not meet.
        """
        if self.judge is None:
            missing = (*missing, Need.JUDGE)
        possible = possible_objectives(*missing)
        judged = "" if self.judge is not None else " and metrics.judge=null"
        require(self.objective is None or self.objective in possible, "metrics.objective", self.objective,
                 f"{', '.join(possible)} or null with data={data}{judged}")  # fmt: skip
