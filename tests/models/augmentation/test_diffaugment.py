"""DiffAugment's transforms at known numbers, against loops over pixels."""

import pytest
import torch

from clipgan.models.augmentation import diffaugment
from clipgan.models.augmentation.diffaugment import colour, cutout, translation
from clipgan.models.augmentation.rows import Rows

pytestmark = pytest.mark.numeric


def numbers(*values):
    return torch.tensor(values)


@pytest.mark.usefixtures("float64")
def test_colour_is_its_definition():
    torch.manual_seed(0)
    images = torch.randn(2, 3, 4, 4)
    changed = colour(images, numbers(0.3, 0.0), numbers(1.5, 0.0), numbers(0.5, 1.0))
    x = images[0] + 0.3
    grey = x.mean(dim=0)
    x = torch.stack([grey + 1.5 * (channel - grey) for channel in x])
    torch.testing.assert_close(changed[0], x.mean() + 0.5 * (x - x.mean()))
    torch.testing.assert_close(changed[1], images[1].mean(dim=0).expand(3, 4, 4))  # no saturation: grey


@pytest.mark.usefixtures("float64")
def test_neutral_colours_change_nothing():
    images = torch.randn(2, 3, 4, 4)
    one = torch.ones(2)
    torch.testing.assert_close(colour(images, 0 * one, one, one), images)


@pytest.mark.parametrize(("right", "down", "pixels"), [(0.0, 1.0, (-2, 2)), (0.5, 0.5, (0, 0)), (0.79, 0.0, (1, -2))])
def test_translation_by_whole_pixels_with_nothing_coming_in(right, down, pixels):
    images = torch.randn(1, 3, 16, 16)
    changed = translation(images, numbers(right), numbers(down))
    for row in range(16):
        for column in range(16):
            y, x = row - pixels[1], column - pixels[0]
            expected = images[0, :, y, x] if 0 <= y < 16 and 0 <= x < 16 else torch.zeros(3)
            assert torch.equal(changed[0, :, row, column], expected)


@pytest.mark.parametrize(("x", "y", "columns", "rows"), [
    (0.0, 0.5, range(0, 2), range(2, 6)),
    (1.0, 0.999, range(6, 8), range(6, 8)),
    (0.45, 0.2, range(2, 6), range(0, 3)),
])  # fmt: skip
def test_cutout_of_half_the_edge(x, y, columns, rows):
    images = torch.randn(1, 3, 8, 8)
    changed = cutout(images, numbers(x), numbers(y))
    expected = images.clone()
    expected[:, :, rows.start : rows.stop, columns.start : columns.stop] = 0
    assert torch.equal(changed, expected)


def test_what_is_drawn_covers_the_published_ranges():
    generator = torch.Generator().manual_seed(0)
    rows = Rows(lambda shape: torch.randn(*shape, generator=generator), 20000)
    drawn = diffaugment.draw_colour(rows).keywords
    for name, (low, high) in {"brightness": (-0.5, 0.5), "saturation": (0, 2), "contrast": (0.5, 1.5)}.items():
        assert drawn[name].min() == pytest.approx(low, abs=0.001)
        assert drawn[name].max() == pytest.approx(high, abs=0.001)
        assert drawn[name].mean() == pytest.approx((low + high) / 2, abs=0.02)
    ramp = torch.arange(8.0).expand(20000, 1, 8, 8)
    moved = diffaugment.draw_translation(rows)(ramp)
    places, counts = moved[:, 0, 4, 4].unique(return_counts=True)
    assert places.tolist() == [3, 4, 5]  # a pixel each way, all alike
    assert (counts / 20000).tolist() == pytest.approx([1 / 3] * 3, abs=0.02)
