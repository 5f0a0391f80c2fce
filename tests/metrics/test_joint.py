"""FJD, hard R-precision and diversity against independent computation."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from clipgan.metrics.measure import FEATURES, JUDGED, REDRAWN, Setting
from clipgan.metrics.measures import accuracy, diversity, fjd, r_precision_hard
from tests.helpers import make_config

CAPTIONS = ["a small red star on a gray background", "a big blue cross on a white background"] * 20


class Judge:
    """Encodes a text as the sum of fixed vectors of its words."""

    def __init__(self):
        self.known = {}

    def encode_text(self, texts):
        rows = []
        for text in texts:
            words = text.replace(",", "").split()
            rows.append(sum(self.known.setdefault(word, self.vector(len(self.known))) for word in words))
        return torch.nn.functional.normalize(torch.stack(rows), dim=1)

    @staticmethod
    def vector(seed):
        return torch.randn(64, generator=torch.Generator().manual_seed(seed))


def setting(real, extract=None, **overrides):
    config = make_config(*(f"{key}={value}" for key, value in overrides.items()))
    return Setting(
        config, {FEATURES: real}, len(real), CAPTIONS, Judge(), False, CAPTIONS, extract or (lambda images: images)
    )


def frechet(one, other):
    """The squared Frechet distance of two sets of rows, by the definition."""
    apart = ((one.mean(0) - other.mean(0)) ** 2).sum()
    covariances = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    return apart + np.trace(covariances[0] + covariances[1] - 2 * sqrtm(covariances[0] @ covariances[1]).real)


def test_fjd_is_the_frechet_distance_of_images_beside_captions():
    random = torch.Generator().manual_seed(0)
    real, made = (torch.randn(40, 5, generator=random) for _ in range(2))
    given = setting(real)
    [(name, value)] = fjd.MEASURE.metrics({FEATURES: made}, given).items()
    texts = given.judge.encode_text(CAPTIONS).numpy().astype(float) * real.norm(dim=1).mean().item()
    pairs = [np.concatenate([images.numpy().astype(float), texts], axis=1) for images in (made, real)]
    assert name == "fjd2k_real40_clip_tiny64"
    assert value == pytest.approx(frechet(*pairs), rel=1e-2, abs=1e-2)  # square roots of a singular covariance


def test_fjd_sees_pictures_of_other_captions_and_fid_does_not():
    real = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)) + torch.arange(40)[:, None] % 2 * 3.0
    given = setting(real)
    [right], [wrong] = (fjd.MEASURE.metrics({FEATURES: made}, given).values() for made in (real, real.roll(1, 0)))
    assert right == pytest.approx(0, abs=0.05)
    assert wrong > 1


def test_hard_r_precision_is_lost_by_one_swapped_attribute():
    given = setting(torch.zeros(40, 64))
    own = given.judge.encode_text(CAPTIONS)
    swapped = given.judge.encode_text([text.replace("star", "circle") for text in CAPTIONS])
    values = [r_precision_hard.MEASURE.metrics({JUDGED: rows}, given) for rows in (own, swapped)]
    assert values == [{"r_precision_hard_clip_tiny64": 1.0}, {"r_precision_hard_clip_tiny64": 0.5}]


def test_diversity_is_a_ratio_to_real_pictures_where_they_can_be_drawn():
    one, other = torch.zeros(40, 3 * 32 * 32), torch.full((40, 3 * 32 * 32), 0.5)
    drawn = []

    def extract(images):
        drawn.append(images.float().flatten(1))
        return drawn[-1]

    rows = {FEATURES: one, REDRAWN: other}
    [(name, value)] = diversity.MEASURE.metrics(rows, setting(one, extract)).items()
    expected = (one[0] - other[0]).norm() / (drawn[0] - drawn[1]).norm(dim=1).mean()
    assert name == "diversity2k_clip_tiny64"
    assert value == pytest.approx(expected.item(), rel=1e-5)
    [(name, value)] = diversity.MEASURE.metrics(rows, setting(one, extract, data="emoji")).items()
    assert name == "spread2k_train_clip_tiny64"  # the emoji's protocol
    assert value == pytest.approx((one[0] - other[0]).norm().item(), rel=1e-5)


def test_accuracy_is_the_mean_of_the_attributes():
    hits = torch.tensor([[1.0, 1, 0, float("nan"), 1], [1, 0, 0, 1, 1]])
    values = accuracy.MEASURE.metrics({accuracy.HITS: hits}, setting(torch.zeros(2, 3)))
    assert values["accuracy"] == pytest.approx((1 + 0.5 + 0 + 1 + 1) / 5)
    assert next(iter(values)) == "accuracy" == accuracy.MEASURE.name(setting(torch.zeros(2, 3)))
