"""StyleGAN2-ADA's transforms at known numbers: against torch's flips, NumPy's matrices, and waves moved by formula."""

import colorsys
import math

import numpy as np
import pytest
import torch

from clipgan.models.augmentation.blit import blit, draw_blit
from clipgan.models.augmentation.colour import colour_map, draw_colour, recolour
from clipgan.models.augmentation.geometry import SYM6, bilinear, draw_geometry, inverse_map, warp
from clipgan.models.augmentation.rows import Rows
from tests.numeric import CLOSE

pytestmark = pytest.mark.numeric

GREY = np.ones(3) / math.sqrt(3)


def numbers(*values):
    return torch.tensor([float(value) for value in values])


def rows(count=20000, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Rows(lambda shape: torch.randn(*shape, generator=generator), count)


def test_blitting_is_flip_turn_and_reflected_shift():
    images = torch.randn(4, 3, 8, 8)
    zero = torch.zeros(4)
    flipped = blit(images, numbers(0, 1, 0, 1), zero, zero, zero)
    assert torch.equal(flipped, torch.stack([images[0], images[1].flip(2), images[2], images[3].flip(2)]))
    turned = blit(images, zero, numbers(0, 1, 2, 3), zero, zero)
    assert torch.equal(turned, torch.stack([image.rot90(number, (1, 2)) for number, image in enumerate(images)]))
    moved = blit(images, zero, zero, numbers(0.125, 0, -0.25, 0), numbers(0, 0.24, 0, 0))
    assert torch.equal(moved[0], torch.cat([images[0, :, :, :1], images[0, :, :, :-1]], dim=2))
    down = torch.cat([images[1, :, :2].flip(1), images[1, :, :-2]], dim=1)  # 0.24 of 8 pixels is two
    assert torch.equal(moved[1], down)
    assert torch.equal(moved[2], torch.cat([images[2, :, :, 2:], images[2, :, :, -2:].flip(2)], dim=2))
    assert torch.equal(moved[3], images[3])


def mapped(pixel, brightness=0.0, contrast=1.0, luma_flip=0.0, hue=0.0, saturation=1.0):
    values = (numbers(value) for value in (brightness, contrast, luma_flip, hue, saturation))
    matrix, shift = colour_map(*values)
    return recolour(torch.tensor(pixel).view(1, 3, 1, 1).float(), matrix, shift).flatten().numpy()


@pytest.mark.usefixtures("float64")
def test_each_colour_transform_by_itself():
    pixel = [0.6, -0.2, 0.1]
    x = np.array(pixel)
    along = GREY * (x @ GREY)
    np.testing.assert_allclose(mapped(pixel, brightness=0.3), x + 0.3, atol=CLOSE)
    np.testing.assert_allclose(mapped(pixel, contrast=1.7), 1.7 * x, atol=CLOSE)
    np.testing.assert_allclose(mapped(pixel, luma_flip=1), x - 2 * along, atol=CLOSE)
    np.testing.assert_allclose(mapped(pixel, saturation=0.25), along + 0.25 * (x - along), atol=CLOSE)
    third = mapped(pixel, hue=2 * math.pi / 3)  # a third of a turn about the grey axis exchanges the channels
    np.testing.assert_allclose(third, [0.1, 0.6, -0.2], atol=CLOSE)
    hue, *_ = colorsys.rgb_to_hsv(0.8, 0.2, 0.2)
    turned, *_ = colorsys.rgb_to_hsv(*mapped([0.8, 0.2, 0.2], hue=2 * math.pi / 3))
    assert (turned - hue) % 1 == pytest.approx(1 / 3, abs=CLOSE)  # red becomes green


@pytest.mark.usefixtures("float64")
def test_colour_transforms_come_in_the_published_order():
    pixel = [0.6, -0.2, 0.1]
    x = 1.7 * (np.array(pixel) + 0.3)
    x = x - 2 * GREY * (x @ GREY)
    angle, cross = 0.4, np.cross(GREY, x)
    x = x * math.cos(angle) + cross * math.sin(angle) + GREY * (GREY @ x) * (1 - math.cos(angle))  # Rodrigues
    x = GREY * (x @ GREY) + 0.5 * (x - GREY * (x @ GREY))
    np.testing.assert_allclose(mapped(pixel, 0.3, 1.7, 1, angle, 0.5), x, atol=CLOSE)


def test_the_wavelet_is_orthonormal_over_even_shifts():
    h = np.array(SYM6)
    assert h.sum() == pytest.approx(math.sqrt(2))
    for shift in range(6):
        assert h[: 12 - 2 * shift] @ h[2 * shift :] == pytest.approx(float(shift == 0), abs=1e-9)


def wave(column, row):
    """Of periods from 13 to 21 pixels."""
    return np.stack([np.cos(0.45 * column + 0.1 * row), np.sin(0.2 * column - 0.3 * row), np.cos(0.3 * row)])


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("scale", "before", "stretch", "after", "shift"),
    [
        (1.3, 0, 1, 0, (0, 0)),
        (1, 0.5, 1, 0, (0, 0)),
        (1, 0, 1.2, 0, (0, 0)),
        (1, 0, 1, 0, (0.11, -0.07)),
        (0.8, 0.7, 1.2, -1.1, (0.05, 0.1)),
    ],
)
def test_a_warp_moves_a_wave_as_its_map_says(scale, before, stretch, after, shift):
    def turn(angle):
        return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])

    size = 32
    middle = np.arange(size) - (size - 1) / 2
    column, row = np.meshgrid(middle, middle)
    images = torch.tensor(wave(column, row))[None].float()
    inverse = inverse_map(*(numbers(value) for value in (scale, before, stretch, after)))
    changed = warp(images, inverse, torch.tensor([shift]).float())[0].numpy()
    forward = turn(after) @ np.diag([stretch, 1 / stretch]) @ turn(before) * scale
    places = np.stack([column, row]).reshape(2, -1) - size * np.array(shift)[:, None]
    source = (np.linalg.inv(forward) @ places).reshape(2, size, size)
    inside = (np.abs(source) < size / 2 - 3).all(axis=0)
    assert inside.mean() > 0.4
    error = np.abs(changed - wave(*source))[:, inside]
    assert error.max() < 0.03


@pytest.mark.usefixtures("float64")
def test_outside_of_an_image_is_its_reflection():
    images = torch.arange(4.0).expand(1, 1, 4, 4)
    places = torch.tensor([[[-1.0, -2.0, 4.0, 5.5, 1.25], [0.0] * 5]])
    torch.testing.assert_close(bilinear(images, places), torch.tensor([[[0.0, 1, 3, 1.5, 1.25]]]))


@pytest.mark.usefixtures("float64")
def test_doubling_and_halving_cancel_inside():
    """A shift by a whole pixel resamples at the pixels themselves."""
    torch.manual_seed(0)
    images = torch.randn(1, 3, 32, 32)
    moved = warp(images, torch.eye(2)[None], torch.tensor([[2 / 32, -1 / 32]]))
    inside = slice(8, -8)
    torch.testing.assert_close(moved[:, :, inside, inside], images.roll((2, -1), (3, 2))[:, :, inside, inside])


@pytest.mark.exact
@pytest.mark.parametrize("draw", [draw_blit, draw_geometry, draw_colour])
@pytest.mark.parametrize("size", [4, 32])
def test_with_probability_zero_nothing_changes_by_a_bit(draw, size):
    images = torch.randn(16, 3, size, size)
    assert torch.equal(draw(rows(16), torch.zeros(()))(images), images)


@pytest.mark.parametrize("draw", [draw_blit, draw_geometry, draw_colour])
def test_with_probability_one_images_change_each_its_own_way(draw):
    images = torch.randn(1, 3, 16, 16).expand(16, -1, -1, -1)
    changed = draw(rows(16), torch.ones(()))(images)
    assert changed.isfinite().all()
    assert len({tuple(image.flatten().tolist()) for image in changed}) > 12


def test_what_is_drawn_has_the_published_probabilities_and_widths():
    p = torch.tensor(0.3)
    colours = rows()
    brightness = colours.with_probability(p, colours.normal() * 0.2, 0.0)
    assert (brightness != 0).float().mean() == pytest.approx(0.3, abs=0.01)
    drawn = draw_blit(rows(), p).keywords
    assert drawn["flip"].mean() == pytest.approx(0.15, abs=0.01)
    assert [(drawn["turns"] == number).float().mean() for number in range(4)] == pytest.approx(
        [0.775, 0.075, 0.075, 0.075], abs=0.01
    )
    assert drawn["right"].abs().max() == pytest.approx(0.125, abs=1e-3)
    assert ((drawn["right"] != 0) == (drawn["down"] != 0)).all()
    drawn = draw_geometry(rows(), p).keywords
    assert drawn["shift"][drawn["shift"] != 0].std() == pytest.approx(0.125, abs=0.003)
    off = drawn["inverse"] - drawn["inverse"][:, :1, :1] * torch.eye(2)
    turned = (off.abs().amax(dim=(1, 2)) > 0).float().mean()
    assert turned == pytest.approx(1 - 0.7 * 0.7, abs=0.01)  # either turn: p; or stretched: p
    determinant = torch.linalg.det(drawn["inverse"]).log2() / 2
    scaled = determinant[determinant.abs() > 1e-5]
    assert len(scaled) / 20000 == pytest.approx(0.3, abs=0.01)
    assert scaled.std() == pytest.approx(0.2, abs=0.005)


@pytest.mark.parametrize("draw", [draw_blit, draw_geometry, draw_colour])
def test_it_can_be_differentiated_twice(draw):
    torch.manual_seed(0)
    apply = draw(rows(2), torch.ones(()))
    keywords = {name: value.double() for name, value in apply.keywords.items()}
    images = torch.randn(2, 3, 6, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: apply.func(x, **keywords), images, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x: apply.func(x, **keywords).square(), images, fast_mode=True)
