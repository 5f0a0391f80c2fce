"""Ridge regression over chunks of rows: the normal equations' solution, however the rows are cut."""

import numpy as np
import pytest

from clipgan.inputs.features.ridge import r_squared, ridge_regression

pytestmark = pytest.mark.numeric

STRENGTH = 0.1


@pytest.fixture
def rows():
    random = np.random.default_rng(0)
    return random.normal(size=(50, 4)).astype(np.float32), random.normal(size=(50, 3)).astype(np.float16)


def cut(x, y, size):
    return [(x[start : start + size], y[start : start + size]) for start in range(0, len(x), size)]


@pytest.mark.parametrize("size", [50, 7, 1])
def test_it_minimises_its_objective(rows, size):
    x, y = rows
    weights = ridge_regression(cut(x, y, size), STRENGTH)
    assert weights.dtype == np.float32
    stacked = np.concatenate([x, np.sqrt(50 * STRENGTH) * np.eye(4)])  # the same as least squares with extra rows
    expected = np.linalg.lstsq(stacked, np.concatenate([y, np.zeros((4, 3))]), rcond=None)[0]
    np.testing.assert_allclose(weights, expected, atol=1e-6)

    def objective(w):
        return np.square(x @ w - y).sum() / 50 + STRENGTH * np.square(w).sum()

    best = objective(weights)
    random = np.random.default_rng(1)
    for _ in range(20):
        assert objective(weights + 1e-2 * random.normal(size=weights.shape)) > best


@pytest.mark.parametrize("size", [50, 7])
def test_r_squared_is_that_of_all_rows(rows, size):
    x, y = rows
    weights = np.random.default_rng(2).normal(size=(4, 3))
    residual = np.square(y - x @ weights).sum()
    expected = 1 - residual / np.square(y - y.astype(np.float64).mean(axis=0)).sum()
    assert r_squared(cut(x, y, size), weights) == pytest.approx(expected, rel=1e-6)


def test_r_squared_of_known_predictions():
    y = np.array([[1.0], [2.0], [3.0]])
    assert r_squared([(y, y)], np.eye(1)) == 1.0
    assert r_squared([(np.ones((3, 1)), y)], np.array([[2.0]])) == 0.0


def test_equal_outputs_have_no_r_squared():
    y = np.full((7, 3), 0.1)
    assert np.isnan(r_squared([(np.ones((7, 2)), y)], np.zeros((2, 3))))
