"""What a measure needs besides images, and the message if it is not there."""

from collections.abc import Iterable, Sequence

from clipgan.base.errors import UserError
from clipgan.config import NEEDS, Config, Need
from clipgan.inputs.data.pack import Split
from clipgan.inputs.data.shapes_captions import are_of_shapes
from clipgan.metrics.measure import OF_EXTRACTOR, load_measure
from clipgan.metrics.retrieval import are_varied

WORDS = {  # for messages
    Need.JUDGE: "a CLIP that judges: clip@metrics.judge=NAME",
    Need.CAPTIONS: "the captions of the images: captions=FILE",
    Need.VARIED_CAPTIONS: "at least two different captions of the images, to choose among",
    Need.REAL_CAPTIONS: "the captions of the real images, which this data set does not have as text",
    Need.SHAPES: "data=shapes, and a caption of drawn shapes for each image (captions=FILE)",
    Need.REDRAWN: "a generator (ckpt=FILE or run=ID), which draws each prompt a second time",
}


def unmet_needs(
    config: Config, captions: Sequence[str] | None, real: Split | None, judged: bool, redraws: bool
) -> set[Need]:
    """Return the needs that are not met.

    Args:
        config: the run.
        captions: the captions of the images; None: there are none.
        real: the split with the real images; None: it is not known yet, and may have what is needed.
        judged: whether there is a judge.
        redraws: whether a generator can draw each prompt again.
    """
    met = {
        Need.CAPTIONS: captions is not None,
        Need.VARIED_CAPTIONS: captions is not None and are_varied(captions),
        Need.REAL_CAPTIONS: real is None or real.has_words,
        Need.SHAPES: captions is not None and config.data.name == "shapes" and are_of_shapes(captions),
        Need.JUDGE: judged,
        Need.REDRAWN: redraws,
    }
    return {need for need, is_met in met.items() if not is_met}


def reads_judge(measures: Iterable[str], config: Config) -> bool:
    """Whether a measure needs the judge: by itself, or as the protocol's extractor."""
    extracts = config.metrics.extractor == "judge"
    return any(
        Need.JUDGE in NEEDS.get(name, ()) or (extracts and not OF_EXTRACTOR.isdisjoint(load_measure(name).rows))
        for name in measures
    )


def refuse_unmet(measures: Iterable[str], unmet: set[Need]) -> None:
    """Refuse measures that are asked for and cannot be computed.

    Raises:
        UserError: names the measure and what it needs.
    """
    for name in measures:
        for need in NEEDS.get(name, ()):
            if need in unmet:
                raise UserError(f"metrics=[{name}] needs {WORDS[need]}")
