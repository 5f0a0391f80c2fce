"""FID, KID, precision and recall, and the inception score of extracted features: torch-fidelity's formulas.

torch-fidelity is handed rows in place of images, so that images are extracted once for all measures, by as many
processes as there are, and none of its caches, which are pickles, is read.

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

NEIGHBOURS = 3  # that precision and recall look at
ROWS = "clipgan-rows"  # our extractor's name in torch-fidelity
KID_SUBSET = 1000  # rows of each of 100 subsets; at most half of a set, or the subsets would hardly differ
RESAMPLES = 20  # the deviation's own relative error is about a fifth


class _Rows(FeatureExtractorBase):
    """Rows that are features already."""

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
    """As torch-fidelity wants its items."""

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        return self.rows[index]


def compare(
    generated: Tensor, real: Tensor, kid: bool = False, precision_recall: bool = False, fid: bool = True
) -> dict[str, float]:
    """`fid`, and if asked for `kid`, `kid_sd` (over its subsets), `precision` and `recall`.

    Args:
        generated: float32 [N, D], on the CPU.
        real: float32 [M, D], on the CPU.
        precision_recall: needs more rows than `NEIGHBOURS` of both.
    """
    found = _calculate(
        input1=_RowData(generated), input2=_RowData(real), fid=fid, kid=kid, prc=precision_recall,
        prc_neighborhood=NEIGHBOURS, kid_subset_size=max(2, min(KID_SUBSET, len(generated) // 2, len(real) // 2)),
    )  # fmt: skip
    names = {
        "fid": KEY_METRIC_FID,
        "kid": "kernel_inception_distance_mean",
        "kid_sd": "kernel_inception_distance_std",
        "precision": "precision",
        "recall": "recall",
    }
    return {ours: float(found[theirs]) for ours, theirs in names.items() if theirs in found}


def inception_score(logits: Tensor) -> dict[str, float]:
    """`inception_score` and its deviation over ten parts, `inception_score_sd`.

    Args:
        logits: Inception's, [N, 1008], on the CPU.
    """
    found = _calculate(input1=_RowData(logits), isc=True)
    return {"inception_score": found["inception_score_mean"], "inception_score_sd": found["inception_score_std"]}


def fid_deviation(one: Tensor, other: Tensor, real: Tensor, seed: int, resamples: int = RESAMPLES) -> float:
    """The standard deviation that FID has over a generator's latents, prompts and real images being the same.

    From two sets of images of the same prompts: each resample takes each prompt's image from one of them at random. A
    choice between two images varies half as much as drawing one anew, so the deviation is sqrt 2 times the resamples'.
    (A bootstrap over images would draw the prompts anew too, and tell about twice as much; bench/fid.py measures it.)

    Args:
        one: float32 [N, D], on the CPU.
        other: the same of other latents, float32 [N, D].
        real: float32 [M, D], on the CPU.
        seed: chooses the images.
    """
    rng = np.random.default_rng(seed)
    of_real = fid_features_to_statistics(real)
    values = []
    for _ in range(resamples):
        drawn = torch.where(torch.from_numpy(rng.random((len(one), 1)) < 0.5), one, other)
        values.append(fid_statistics_to_metric(fid_features_to_statistics(drawn), of_real, False)[KEY_METRIC_FID])
    return float(math.sqrt(2) * np.std(values, ddof=1))


def _calculate(**arguments: Any) -> dict[str, float]:
    """torch-fidelity ignores arguments that it does not know: they are all here or in the two callers."""
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
