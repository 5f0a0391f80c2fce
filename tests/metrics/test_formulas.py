"""Each formula against an independent computation in NumPy and float64, on synthetic features."""

import numpy as np
import pytest
import torch
from scipy import linalg

from clipgan.metrics.retrieval import clip_score
from clipgan.metrics.scores import compare, density_coverage, fid, mmd, moments

pytestmark = pytest.mark.numeric

CLOSE = 1e-6


def rows(count, width=6, seed=0, shift=0.0):
    return (np.random.default_rng(seed).normal(size=(count, width)) + shift).astype(np.float32)


ONE, OTHER = rows(90), 1.3 * rows(70, seed=1, shift=0.3)


def tensors():
    return torch.from_numpy(ONE), torch.from_numpy(OTHER)


def distances(a, b):
    return np.linalg.norm(a[:, None].astype(np.float64) - b[None], axis=2)


def test_frechet_distance():
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), by another root than torch-fidelity's."""
    a, b = ONE.astype(np.float64), OTHER.astype(np.float64)
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = linalg.sqrtm(second)
    between = np.trace(linalg.sqrtm(root @ first @ root).real)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first) + np.trace(second) - 2 * between
    assert fid(*map(moments, tensors())) == pytest.approx(expected, rel=CLOSE)


def test_kernel_distance():
    """The unbiased estimate with k(a, b) = (a.b / D + 1)^3; one subset holds all rows, so no choice matters."""
    a, b = ONE[:70].astype(np.float64), OTHER.astype(np.float64)

    def kernel(x, y):
        return (x @ y.T / x.shape[1] + 1) ** 3

    def without_itself(k):
        return (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))

    expected = without_itself(kernel(a, a)) + without_itself(kernel(b, b)) - 2 * kernel(a, b).mean()
    twice = torch.from_numpy(a).float(), torch.from_numpy(b).float()
    from torch_fidelity.metric_kid import kid_features_to_metric

    theirs = kid_features_to_metric(*twice, kid_subsets=1, kid_subset_size=70, verbose=False)
    assert theirs["kernel_inception_distance_mean"] == pytest.approx(expected, rel=CLOSE)
    # ours: the mean over subsets of half of the rows estimates the same
    ours = compare(*twice, kid=True)
    assert abs(ours["kid"] - expected) < 4 * ours["kid_sd"]


def test_precision_and_recall():
    k, (one, other) = 3, (ONE, OTHER)

    def within(points, manifold):
        radii = np.sort(distances(manifold, manifold), axis=1)[:, k]
        return (distances(points, manifold) <= radii).any(axis=1).mean()

    found = compare(*tensors(), precision_recall=True)
    assert found["precision"] == pytest.approx(within(one, other), rel=CLOSE)
    assert found["recall"] == pytest.approx(within(other, one), rel=CLOSE)


def test_density_and_coverage(monkeypatch):
    monkeypatch.setattr("clipgan.metrics.scores.AT_ONCE", 32)  # several blocks
    k, radii = 5, np.sort(distances(OTHER, OTHER), axis=1)[:, 5]
    inside = distances(ONE, OTHER) < radii
    found = density_coverage(*tensors())
    assert found["density"] == pytest.approx(inside.sum() / (k * len(ONE)), rel=CLOSE)
    assert found["coverage"] == pytest.approx(inside.any(axis=0).mean(), rel=CLOSE)


def test_maximum_mean_discrepancy(monkeypatch):
    """CMMD's: sigma 10, the biased estimate; rows of unit length."""
    monkeypatch.setattr("clipgan.metrics.scores.AT_ONCE", 32)
    a, b = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (ONE, OTHER))

    def kernel(x, y):
        return np.exp(-(distances(x, y) ** 2) / (2 * 10.0**2)).mean()

    expected = kernel(a, a) + kernel(b, b) - 2 * kernel(a, b)
    assert mmd(torch.from_numpy(a), torch.from_numpy(b), 10.0) == pytest.approx(expected, rel=CLOSE)


def test_clip_score():
    a, b = (each[:70] / np.linalg.norm(each[:70], axis=1, keepdims=True) for each in (ONE, OTHER))
    expected = 100 * np.maximum((a.astype(np.float64) * b).sum(axis=1), 0).mean()
    assert clip_score(torch.from_numpy(a), torch.from_numpy(b)) == pytest.approx(expected, rel=CLOSE)
