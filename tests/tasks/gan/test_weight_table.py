"""The table of weights that a run prints."""

from clipgan.tasks.gan.weight_table import contrast_in_words
from tests.helpers import make_config


def test_the_caption_names_the_weights_that_no_term_has():
    assert contrast_in_words(make_config("loss=lafite")).endswith(
        "no term has h, C_ii, S.ResNet, loss.temperature.ResNet"
    )
    assert "no term has" not in contrast_in_words(make_config("loss=asymmetric"))
