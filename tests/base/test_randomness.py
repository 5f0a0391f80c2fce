"""Named random streams."""

import pytest
import torch

from clipgan.base.randomness import StepRandom, stream, stream_seed

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")


def test_streams_depend_on_seed_name_and_index_only():
    seeds = {stream_seed(seed, name, index) for seed in (0, 1) for name in ("a", "b") for index in (0, 1)}
    assert len(seeds) == 8
    torch.testing.assert_close(torch.randn(3, generator=stream(1, "a", 5)), torch.randn(3, generator=stream(1, "a", 5)))


def test_rows_draw_the_same_whole_and_in_parts():
    def draw(first, last, name="noise", step=3):
        return StepRandom(1, step, 4, CPU).rows(name, range(first, last))((last - first, 2, 5))

    whole = draw(0, 12)
    torch.testing.assert_close(torch.cat([draw(0, 8), draw(8, 12)]), whole)
    assert whole.unique().numel() == whole.numel()
    assert not torch.equal(draw(0, 4), draw(0, 4, name="latent"))
    assert not torch.equal(draw(0, 4), draw(0, 4, step=4))
