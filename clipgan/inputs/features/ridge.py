"""Ridge regression from text embeddings to ResNet features, over chunks of rows: memory does not grow with the rows.

Shapes: N rows in all chunks, C width of the inputs, Q width of the outputs.
"""

import math
from collections.abc import Iterable

import numpy as np

# Outputs whose sum of squares about the mean is below this fraction of their sum of squares are equal up to rounding.
EQUAL_OUTPUTS = 1e-9
Pairs = Iterable[tuple[np.ndarray, np.ndarray]]  # chunks of inputs [n, C] and outputs [n, Q]


def ridge_regression(pairs: Pairs, strength: float) -> np.ndarray:
    """Return argmin_W |inputs W - outputs|^2 / N + strength |W|^2, by the normal equations in float64.

    Args:
        pairs: at least one chunk.
        strength: > 0, per sample.

    Returns:
        W, float32 [C, Q].
    """
    gram: np.ndarray | float = 0.0
    products: np.ndarray | float = 0.0
    count = 0
    for inputs, outputs in pairs:
        x, y = inputs.astype(np.float64), outputs.astype(np.float64)
        gram, products, count = gram + x.T @ x, products + x.T @ y, count + len(x)
    assert isinstance(gram, np.ndarray), "there is no row"
    return np.linalg.solve(gram / count + strength * np.eye(len(gram)), products / count).astype(np.float32)


def r_squared(pairs: Pairs, weights: np.ndarray) -> float:
    """Return R^2 of `inputs @ weights`: 1 - residual / total sum of squares; nan if all outputs are equal."""
    residual = squares = 0.0
    sums: np.ndarray | float = 0.0
    count = 0
    for inputs, outputs in pairs:
        y = outputs.astype(np.float64)
        residual += float(np.square(y - inputs.astype(np.float64) @ weights).sum())
        squares += float(np.square(y).sum())
        sums, count = sums + y.sum(axis=0), count + len(y)
    total = squares - float(np.square(sums).sum()) / count
    return 1 - residual / total if total > EQUAL_OUTPUTS * squares else math.nan
