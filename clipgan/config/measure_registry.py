"""The registry of measures: one line each, and the measure itself in clipgan/metrics/measures/NAME.py."""

from dataclasses import dataclass, field, fields
from enum import Enum, auto
from typing import Any

MOMENTS = ("never", "end", "snapshot")


class Need(Enum):
    """What a measure needs besides generated images."""

    INCEPTION = auto()  # metrics.extractor=inception
    JUDGE = auto()  # a CLIP that judges: metrics.judge
    CAPTIONS = auto()  # a data set with captions; without them the measure is left out
    VARIED_CAPTIONS = auto()  # at least two different captions; where all are one, the measure is left out
    REAL_CAPTIONS = auto()  # captions of the real images that are compared
    SHAPES = auto()  # data=shapes and its captions; with other data the measure is left out
    REDRAWN = auto()  # a generator: other images for the same prompts


def measure(due: str, *needs: Need, objective: str | None = None) -> Any:
    """A field of `Measures`.

    Args:
        due: the default, one of `MOMENTS`.
        needs: what the measure needs.
        objective: minimize | maximize, if a training may have the measure as its objective.
    """
    return field(default=due, metadata={"needs": needs, "objective": objective})


@dataclass
class Measures:
    """When each measure is due: never, at the end of a training, or at each snapshot."""

    fid_sd: str = measure("end", Need.REDRAWN)  # FID's standard deviation over latents; generates the images again
    kid: str = measure("end")  # kernel distance, and its standard deviation over subsets
    precision_recall: str = measure("end")  # improved precision and recall (arXiv:1904.06991)
    density_coverage: str = measure("never")  # density and coverage (arXiv:2002.09797)
    fd_dinov2: str = measure("never")  # Frechet distance of DINOv2's features (arXiv:2306.04675)
    cmmd: str = measure("never")  # CLIP's maximum mean discrepancy (arXiv:2401.09603)
    inception_score: str = measure("never", Need.INCEPTION)  # inception score; only with extractor=inception
    clip_score: str = measure("end", Need.JUDGE, Need.CAPTIONS)  # 100 max(cos, 0) of image and caption, by the judge
    r_precision: str = measure(
        "snapshot", Need.JUDGE, Need.CAPTIONS, Need.VARIED_CAPTIONS, objective="maximize"
    )  # share of images whose caption the judge finds
    # Among 100: the image's own caption and 99 random others.
    r_precision_hard: str = measure(
        "end", Need.JUDGE, Need.SHAPES, objective="maximize"
    )  # data=shapes: R-precision among the nearest captions
    # Those that differ from the image's own in one attribute: 30 for two objects, 16 for one.
    fjd: str = measure(
        "snapshot", Need.JUDGE, Need.CAPTIONS, Need.REAL_CAPTIONS, objective="minimize"
    )  # FID of images together with their captions
    # Frechet joint distance (arXiv:1907.08175): it sees quality, text and diversity.
    diversity: str = measure("end", Need.REDRAWN)  # spread of the pictures of one caption, in the extractor's space
    # Over that of real pictures of the caption with data=shapes.
    accuracy: str = measure("snapshot", Need.SHAPES, objective="maximize")  # data=shapes: attributes read off the image
    # Colour, size, shape, position and background, against the caption, and the mean of the five.

    def asked(self, need: Need | None = None) -> list[str]:
        """The measures that are due at some time; with `need`, those of them that need this."""
        due = [name for name in MEASURES if getattr(self, name) != "never"]
        return [name for name in due if need is None or need in NEEDS[name]]

    def due(self, last: bool) -> list[str]:
        """The measures of a snapshot; `last`: of the last one, where the training ends."""
        return [name for name in self.asked() if last or getattr(self, name) == "snapshot"]


NEEDS: dict[str, tuple[Need, ...]] = {each.name: each.metadata["needs"] for each in fields(Measures)}
MEASURES = tuple(NEEDS)
OBJECTIVES: dict[str, str] = {"fid": "minimize"} | {
    each.name: each.metadata["objective"] for each in fields(Measures) if each.metadata["objective"]
}


def direction_of(objective: str | None) -> str:
    """Whether a sweep must minimize or maximize an objective; None: the one that the data decides, FJD or FID."""
    return OBJECTIVES.get(objective or "fjd", "minimize")


def possible_objectives(*missing: Need) -> list[str]:
    """The objectives that a run without some needs can have."""
    return [name for name in OBJECTIVES if not set(NEEDS.get(name, ())) & set(missing)]
