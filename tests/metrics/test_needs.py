"""Which measures read the judge: by itself, or as the extractor whose features they compare."""

import pytest

from clipgan.base.errors import UserError
from clipgan.config import Need
from clipgan.metrics.needs import reads_judge, refuse_unmet, unmet_needs
from tests.helpers import make_config


@pytest.mark.parametrize(
    ("measure", "by_itself", "as_extractor"),
    [
        ("fid", False, True),
        ("kid", False, True),
        ("diversity", False, True),
        ("fjd", True, True),
        ("r_precision", True, True),
        ("accuracy", False, False),
        ("fd_dinov2", False, False),
    ],
)
def test_what_reads_the_judge(measure, by_itself, as_extractor):
    inception = make_config("metrics.extractor=inception", "metrics.inception_weights=unread.pth")
    assert reads_judge([measure], inception) == by_itself
    assert reads_judge([measure], make_config("metrics.extractor=judge")) == as_extractor
    assert reads_judge([], inception) is False


@pytest.mark.parametrize(("captions", "unmet"), [(None, True), (["a"], True), (["a"] * 9, True), (["a", "b"], False)])
def test_retrieval_needs_captions_that_differ(captions, unmet):
    found = unmet_needs(make_config(), captions, None, judged=True, redraws=False)
    assert (Need.VARIED_CAPTIONS in found) == unmet
    if captions and unmet:
        with pytest.raises(UserError, match=r"metrics=\[r_precision\] needs at least two different captions"):
            refuse_unmet(["clip_score", "r_precision"], found)
