"""`metrics`: what is measured of a generator, and how."""

from dataclasses import dataclass

from clipgan.config.checks import at_least, one_of, require
from clipgan.config.encoders import ClipConfig
from clipgan.config.measure_registry import MEASURES, MOMENTS, OBJECTIVES, Measures, Need, possible_objectives

EXTRACTORS = ("inception", "judge")


@dataclass
class MetricsConfig(Measures):
    """FID's protocol, when the other measures are due, and which metric a trial returns.

    All measures read the same images; `clipgan.metrics.metric_names` names the metrics.
    """

    name: str = "fid2k_clip_tiny64"  # name of the protocol
    extractor: str = "judge"  # whose features are compared: inception (torch-fidelity's) | judge (its image tower)
    inception_weights: str | None = None  # Inception's weights; null: torch hub's cache, where torch-fidelity puts them
    n_images: int = 2000  # number of generated images
    split: str | None = None  # split of the prompts and the real images: train | heldout; null: data.fid_split
    real: str = "prompted"  # the real images: prompted (those whose captions are prompts) | all (of the split)
    captions: str = "first"  # the prompts: first (first captions, images evenly chosen) | random (any)
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
            one_of("metrics.objective", self.objective, tuple(OBJECTIVES))
        at_least("metrics.n_images", self.n_images, 2)
        at_least("metrics.batch", self.batch, 1)
        if self.split is not None:
            one_of("metrics.split", self.split, ("train", "heldout"))
        for key, allowed in (
            ("real", ("prompted", "all")),
            ("captions", ("first", "random")),
            ("resize", ("extractor", "bicubic")),
            ("weights", ("ema", "raw")),
            *((measure, MOMENTS) for measure in MEASURES),
        ):
            one_of(f"metrics.{key}", getattr(self, key), allowed)
        require(self.real == "all" or self.captions == "first", "metrics.real", self.real,
                 "all with metrics.captions=random")  # fmt: skip
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
