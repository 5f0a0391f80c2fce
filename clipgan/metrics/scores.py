"""Compute FID, KID, precision, recall and inception score of features by torch-fidelity's formulas, and others.

torch-fidelity gets rows of features instead of images. So all processes extract the features once for all metrics, and
torch-fidelity does not read its caches, which are pickles.

Shapes: N generated rows, M real ones, D width.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torch_fidelity import calculate_metrics, register_feature_extractor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

NEIGHBOURS = 3  # k of the k-th nearest neighbour in precision and recall
DENSITY_NEIGHBOURS = 5  # k of density and coverage, as their authors advise
AT_ONCE = 256  # rows whose distances to all rows of a set are in memory at a time
ROWS = "clipgan-rows"  # the name of our extractor in torch-fidelity
KID_SUBSET = 1000  # rows of each of 100 subsets; at most half of a set, so that subsets differ
Moments = dict[str, Any]  # torch-fidelity's `mu` [D] and `sigma` [D, D]
RESAMPLES = 20  # gives the deviation with a relative error of about a fifth


class _Rows(FeatureExtractorBase):
    """An extractor that returns its input, because the rows are already features."""

    def __init__(self, name: str, features_list: Sequence[str], **_unused: object) -> None:
        super().__init__(name, features_list)

    def forward(self, rows: Tensor) -> tuple[Tensor]:
        return (rows,)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return ("rows",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return "rows"

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        return torch.zeros(1, 1)


class _RowData(Dataset):
    """The rows as a dataset, the form that torch-fidelity needs."""

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        return self.rows[index]


def moments(rows: Tensor) -> Moments:
    """Compute mean and covariance of float32 rows [N, D] on the CPU; FID depends on the rows only through them."""
    found: Moments = fid_features_to_statistics(rows)
    return found


def fid(generated: Moments, real: Moments) -> float:
    """Compute FID from the moments of both sets."""
    return float(fid_statistics_to_metric(generated, real, False)[KEY_METRIC_FID])


def compare(generated: Tensor, real: Tensor, kid: bool = False, precision_recall: bool = False) -> dict[str, float]:
    """Compute, with `kid`, `kid` and `kid_sd` (over subsets); with `precision_recall`, these two.

    Args:
        generated: float32 [N, D], on the CPU.
        real: float32 [M, D], on the CPU.
        precision_recall: both sets must have more rows than `NEIGHBOURS`.
    """
    found = _calculate(
        input1=_RowData(generated), input2=_RowData(real), kid=kid, prc=precision_recall,
        prc_neighborhood=NEIGHBOURS, prc_batch_size=AT_ONCE,
        kid_subset_size=max(2, min(KID_SUBSET, len(generated) // 2, len(real) // 2)),
    )  # fmt: skip
    names = {
        "kid": "kernel_inception_distance_mean",
        "kid_sd": "kernel_inception_distance_std",
        "precision": "precision",
        "recall": "recall",
    }
    return {ours: float(found[theirs]) for ours, theirs in names.items() if theirs in found}


def density_coverage(generated: Tensor, real: Tensor) -> dict[str, float]:
    """Compute `density` and `coverage` (arXiv:2002.09797, equations 4 and 5).

    B(x_i) is the ball around a real row x_i that reaches to its k-th nearest other real row, k = 5.

        density = 1 / (k N) sum_j sum_i [y_j in B(x_i)]     coverage = 1 / M sum_i [some y_j in B(x_i)]

    Args:
        generated: y, float32 [N, D], on the CPU.
        real: x, float32 [M, D], on the CPU, M > k.
    """
    k, within, covered = DENSITY_NEIGHBOURS, 0, 0
    generated, real = generated.double(), real.double()
    for some in real.split(AT_ONCE):
        radii = torch.cdist(some, real).kthvalue(k + 1, dim=1, keepdim=True).values  # the nearest one is x_i itself
        inside = torch.cdist(some, generated) < radii
        within += int(inside.sum())
        covered += int(inside.any(dim=1).sum())
    return {"density": within / (k * len(generated)), "coverage": covered / len(real)}


def mmd(one: Tensor, other: Tensor, sigma: float) -> float:
    """Compute the squared maximum mean discrepancy for k(a, b) = exp(-|a - b|^2 / (2 sigma^2)), by all pairs.

        mean k(x, x') + mean k(y, y') - 2 mean k(x, y), the biased estimator: pairs of a row with itself count

    Args:
        one: x, float32 [N, D], on the CPU.
        other: y, float32 [M, D], on the CPU.
    """

    def mean(a: Tensor, b: Tensor) -> float:
        sums = [float(torch.exp(-torch.cdist(some, b).square() / (2 * sigma**2)).sum()) for some in a.split(AT_ONCE)]
        return sum(sums) / (len(a) * len(b))

    x, y = one.double(), other.double()
    return mean(x, x) + mean(y, y) - 2 * mean(x, y)


def inception_score(logits: Tensor) -> dict[str, float]:
    """Compute `inception_score` and `inception_score_sd`, its standard deviation over ten parts.

    Args:
        logits: Inception's logits, [N, 1008], on the CPU.
    """
    found = _calculate(input1=_RowData(logits), isc=True)
    return {"inception_score": found["inception_score_mean"], "inception_score_sd": found["inception_score_std"]}


def fid_deviation(one: Tensor, other: Tensor, real: Moments, seed: int, resamples: int = RESAMPLES) -> float:
    """Estimate the standard deviation of FID over a generator's latents, with fixed prompts and real images.

    Two sets hold one image per prompt. Each resample takes each prompt's image from one of the two sets at random. The
    choice between two images has half the variance of a new draw, so the result is sqrt 2 times the deviation of the
    resamples. (A bootstrap over images would also vary the prompts, and give about twice the value; bench/fid.py
    measures it.)

    Args:
        one: float32 [N, D], on the CPU.
        other: the same prompts with other latents, float32 [N, D].
        real: the moments of the real rows.
        seed: determines the choices.
    """
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        drawn = torch.where(torch.from_numpy(rng.random((len(one), 1)) < 0.5), one, other)
        values.append(fid(moments(drawn), real))
    return float(math.sqrt(2) * np.std(values, ddof=1))


def _calculate(**arguments: Any) -> dict[str, float]:
    """Call torch-fidelity. It ignores unknown arguments; only this function and its two callers set arguments."""
    if ROWS not in FEATURE_EXTRACTORS_REGISTRY:
        register_feature_extractor(ROWS, _Rows)
    found: dict[str, float] = calculate_metrics(
        **arguments,
        feature_extractor=ROWS,
        cuda=False,
        batch_size=4096,
        cache=False,
        save_cpu_ram=True,  # no worker processes: the rows are in memory
        verbose=False,
    )
    return found
