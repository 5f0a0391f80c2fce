"""The augmentations: each image against torchvision's v2 kernels, and the distributions of the parameters."""

import itertools
import math

import pytest
import torch
from torchvision.transforms.v2 import RandomResizedCrop
from torchvision.transforms.v2 import functional as v2

from clipgan.base.randomness import stream
from clipgan.config.simclr import ViewAugmentConfig
from clipgan.tasks.simclr import augment as module
from clipgan.tasks.simclr.augment import augment, blur, crop, draw, grayscale
from tests.numeric import CLOSE, rounding

pytestmark = pytest.mark.numeric

N, R = 24, 32
HUE = rounding(100)  # torchvision turns hues in float32: some ten operations on numbers up to 6
SIMCLR = ViewAugmentConfig(colour=0.8, hue=0.2, blur=0.5)


@pytest.fixture
def images():
    return torch.rand(N, 3, R, R, generator=torch.Generator().manual_seed(0))


def drawn(config=SIMCLR, count=N, x_flip=True, seed=0):
    return draw(config, count, R, x_flip, stream(seed, "view 1"))


def by_torchvision(image, draws, index):
    """One image, by v2's own kernels and our parameters."""
    top, left, height, width = draws.box[index].tolist()
    view = v2.resized_crop(image, top, left, height, width, [R, R], antialias=True)
    view = v2.horizontal_flip(view) if draws.mirrored[index] else view
    kernels = (v2.adjust_brightness, v2.adjust_contrast, v2.adjust_saturation, v2.adjust_hue)
    for number in draws.order[index].tolist() if draws.jittered[index] else ():
        view = kernels[number](view, float(draws.factors[index, number]))
    view = v2.rgb_to_grayscale(view, num_output_channels=3) if draws.gray[index] else view
    if draws.blurred[index]:
        view = v2.gaussian_blur(view, [2 * (R // 20) + 1] * 2, [float(draws.sigma[index])] * 2)
    return view


@pytest.mark.usefixtures("float64")
def test_a_batch_of_views_is_what_torchvision_makes_of_each_image(images):
    draws = drawn()
    expected = torch.stack([by_torchvision(image, draws, index) for index, image in enumerate(images)])
    assert draws.jittered.any()
    assert draws.gray.any()
    assert draws.blurred.any()
    torch.testing.assert_close(augment(images, draws), expected, rtol=0, atol=HUE)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("name", "kernel"),
    [("brightness", v2.adjust_brightness), ("contrast", v2.adjust_contrast), ("saturation", v2.adjust_saturation),
     ("hue", v2.adjust_hue)],
)  # fmt: skip
def test_each_colour_change_is_torchvisions(images, name, kernel):
    low, high = (-0.5, 0.5) if name == "hue" else (0.2, 1.8)
    factors = torch.linspace(low, high, N)
    ours = getattr(module, name)(images, factors.view(-1, 1, 1, 1))
    expected = torch.stack([kernel(image, float(factor)) for image, factor in zip(images, factors, strict=True)])
    torch.testing.assert_close(ours, expected, rtol=0, atol=HUE if name == "hue" else CLOSE)


@pytest.mark.usefixtures("float64")
def test_crop_blur_and_grey_are_torchvisions(images):
    draws = drawn()
    boxes = zip(images, draws.box.tolist(), strict=True)
    expected = [v2.resized_crop(image, *box, [R, R], antialias=True) for image, box in boxes]
    torch.testing.assert_close(crop(images, draws.box, torch.zeros(N).bool()), torch.stack(expected))
    sigma = torch.linspace(0.1, 2, N)
    expected = [v2.gaussian_blur(image, [3, 3], [float(s)] * 2) for image, s in zip(images, sigma, strict=True)]
    torch.testing.assert_close(blur(images, sigma), torch.stack(expected))
    torch.testing.assert_close(grayscale(images), v2.rgb_to_grayscale(images))


def test_boxes_are_distributed_as_torchvisions():
    many = 4000
    draws = draw(ViewAugmentConfig(), many, R, True, stream(0, "many"))
    torch.manual_seed(0)
    transform, image = RandomResizedCrop(R, (0.08, 1.0), (3 / 4, 4 / 3)), torch.zeros(3, R, R)
    theirs = [transform.make_params([image]) for _ in range(many)]
    for column, key in enumerate(("top", "left", "height", "width")):
        ours = draws.box[:, column].double()
        reference = torch.tensor([params[key] for params in theirs]).double()
        error = 5 * math.sqrt(2 / many)
        assert float(ours.mean() - reference.mean()) == pytest.approx(0, abs=error * float(reference.std()))
        assert float(ours.std()) == pytest.approx(float(reference.std()), rel=0.1)
    assert (draws.box[:, :2] >= 0).all()
    assert (draws.box[:, :2] + draws.box[:, 2:] <= R).all()
    assert draws.jittered.double().mean() == pytest.approx(0.8, abs=0.04)
    assert draws.gray.double().mean() == pytest.approx(0.2, abs=0.04)
    assert draws.mirrored.double().mean() == pytest.approx(0.5, abs=0.04)
    assert not draws.blurred.any()
    assert set(map(tuple, draws.order.tolist())) == set(itertools.permutations(range(4)))


def test_a_view_depends_on_its_seed_alone_and_not_on_how_a_batch_is_shared_out(images):
    torch.manual_seed(1)
    whole = augment(images, drawn())
    torch.manual_seed(2)
    halves = [augment(images[rows.start : rows.stop], drawn().rows(rows)) for rows in (range(10), range(10, N))]
    torch.testing.assert_close(torch.cat(halves), whole, rtol=0, atol=0)
    assert not torch.equal(augment(images, drawn(seed=1)), whole)


def test_without_mirroring_left_stays_left():
    half = torch.zeros(64, 3, R, R)
    half[..., : R // 2] = 1.0
    plain = ViewAugmentConfig(crop=0.5, jitter=0, grayscale=0)
    views = augment(half, draw(plain, 64, R, False, stream(0, "x")))
    left, right = (views[..., column].mean(dim=(1, 2)) for column in (0, -1))
    assert (left >= right - rounding(3 * R)).all()
    mirrored = augment(half, draw(plain, 64, R, True, stream(0, "x")))
    assert (mirrored[..., 0].mean(dim=(1, 2)) < mirrored[..., -1].mean(dim=(1, 2)) - 0.5).any()


@pytest.mark.usefixtures("float64")
def test_a_whole_image_that_nothing_happens_to_stays_as_it_is(images):
    still = draw(ViewAugmentConfig(crop=1.0, aspect=1.0, jitter=0, grayscale=0), N, R, False, stream(0, "x"))
    torch.testing.assert_close(augment(images, still), images)
