"""Figures of extracted rows: torch-fidelity called on the images themselves, closed forms, and direct computations."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import TensorDataset
from torch_fidelity import calculate_metrics, register_feature_extractor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

from clipgan.metrics.scores import (
    AT_ONCE,
    compare,
    density_coverage,
    fid,
    fid_deviation,
    inception_score,
    mmd,
    moments,
)

pytestmark = pytest.mark.numeric


class Images(TensorDataset):
    def __getitem__(self, index):
        return super().__getitem__(index)[0]


class Pooled(FeatureExtractorBase):
    """A small extractor of images for torch-fidelity: means over 4 x 4 squares."""

    def __init__(self, name, features_list, **_):
        super().__init__(name, features_list)

    def forward(self, images):
        return (pooled(images),)

    @staticmethod
    def get_provided_features_list():
        return ("all",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return "all"

    @staticmethod
    def can_be_compiled():
        return False


def pooled(images):
    return torch.nn.functional.avg_pool2d(images.float() / 64 - 2, 4).flatten(1)


def test_torch_fidelity_on_the_images_agrees():
    random = torch.Generator().manual_seed(0)
    fake = torch.randint(0, 256, (300, 3, 8, 8), dtype=torch.uint8, generator=random)
    real = torch.randint(40, 220, (250, 3, 8, 8), dtype=torch.uint8, generator=random)
    register_feature_extractor("test-pooled", Pooled)
    theirs = calculate_metrics(
        input1=Images(fake), input2=Images(real), fid=True, kid=True, prc=True, isc=True, kid_subset_size=125,
        feature_extractor="test-pooled", cuda=False, cache=False, save_cpu_ram=True, verbose=False, batch_size=64,
    )  # fmt: skip
    ours = compare(pooled(fake), pooled(real), kid=True, precision_recall=True) | inception_score(pooled(fake))
    ours["fid"] = fid(moments(pooled(fake)), moments(pooled(real)))
    names = {
        "fid": "frechet_inception_distance", "kid": "kernel_inception_distance_mean",
        "kid_sd": "kernel_inception_distance_std", "precision": "precision", "recall": "recall",
        "inception_score": "inception_score_mean", "inception_score_sd": "inception_score_std",
    }  # fmt: skip
    assert ours.keys() == names.keys()
    assert ours["fid"] > 0.05
    for name, theirs_name in names.items():
        assert ours[name] == pytest.approx(theirs[theirs_name], rel=1e-6)


def with_moments(count, mean, deviations, seed):
    """Rows of exactly this mean and, in the sample, exactly these deviations without correlation."""
    rows = torch.randn(count, len(deviations), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    rows = torch.linalg.qr(rows - rows.mean(0)).Q * math.sqrt(count - 1)
    return rows * torch.tensor(deviations) + mean


def test_fid_of_two_gaussians():
    """|m1 - m2|^2 + sum (s1 - s2)^2 where the covariances commute."""
    one, other = with_moments(400, 0.5, [1.0, 2.0, 3.0], 0), with_moments(300, -0.5, [2.0, 2.0, 1.0], 1)
    assert fid(moments(one), moments(other)) == pytest.approx(3 * 1.0 + (1 + 0 + 4), rel=1e-6)
    assert fid(moments(one), moments(one)) == pytest.approx(0, abs=1e-9)


def test_kid_is_the_unbiased_mmd_of_the_cubic_kernel():
    random = torch.Generator().manual_seed(0)
    one, other = torch.randn(40, 5, generator=random), 0.3 + torch.randn(40, 5, generator=random)

    def kernel(a, b):
        return (a.double() @ b.double().T / 5 + 1) ** 3

    within = [(kernel(x, x).sum() - kernel(x, x).diagonal().sum()) / (40 * 39) for x in (one, other)]
    expected = sum(within) - 2 * kernel(one, other).mean()
    found = compare(one, other, kid=True)
    assert found["kid_sd"] > 0.1 * abs(found["kid"])  # a hundred subsets, of half of the rows
    assert found["kid"] == pytest.approx(float(expected), abs=3 * found["kid_sd"] / 10)


def test_precision_and_recall_tell_missing_from_false():
    random = torch.Generator().manual_seed(0)
    both = torch.cat([torch.randn(200, 4, generator=random), 30 + torch.randn(200, 4, generator=random)])
    half = torch.randn(200, 4, generator=random)
    found = compare(half, both, precision_recall=True)
    assert found["precision"] > 0.8
    assert found["recall"] < 0.5
    assert compare(both, half, precision_recall=True)["recall"] > 0.8


class Largest(TorchDispatchMode):
    """Remembers the number of elements of the largest tensor that is made."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for each in made if isinstance(made, tuple | list) else [made]:
            if isinstance(each, torch.Tensor):
                self.elements = max(self.elements, each.numel())
        return made


@pytest.mark.exact
@pytest.mark.parametrize("measure", [partial(compare, precision_recall=True), density_coverage, partial(mmd, sigma=1)])
def test_no_tensor_holds_the_distances_of_all_pairs(measure):
    rows = torch.randn(3 * AT_ONCE, 4, generator=torch.Generator().manual_seed(0))
    with Largest() as largest:
        measure(rows, rows + 0.1)
    assert len(rows) <= largest.elements <= AT_ONCE * len(rows)


def test_inception_score_of_certain_and_uncertain_rows():
    certain = 50 * torch.eye(4).repeat(100, 1)
    assert inception_score(certain)["inception_score"] == pytest.approx(
        4, rel=5e-2
    )  # a tenth of the rows is unbalanced
    assert inception_score(torch.zeros(400, 4))["inception_score"] == pytest.approx(1)


def test_fids_deviation_is_that_over_latents():
    """Against the spread over sets whose latents are really drawn anew; prompts vary more, and are the same."""
    random = torch.Generator().manual_seed(0)
    real, prompts = torch.randn(3000, 6, generator=random), torch.randn(500, 6, generator=random)

    def drawn(seed):
        return 0.9 * prompts + 0.5 * torch.randn(500, 6, generator=torch.Generator().manual_seed(seed)) + 0.1

    spread = np.std([fid(moments(drawn(seed)), moments(real)) for seed in range(1, 61)], ddof=1)
    estimates = [fid_deviation(drawn(seed), drawn(seed + 100), moments(real), seed) for seed in range(1, 11)]
    assert np.mean(estimates) == pytest.approx(spread, rel=0.2)
    assert fid_deviation(drawn(1), drawn(2), moments(real), 0) == fid_deviation(drawn(1), drawn(2), moments(real), 0)
