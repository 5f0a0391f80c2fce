"""The extractors of the metrics."""

import torch

from clipgan.base.device import tensorfloat
from clipgan.metrics.extractors import JudgeExtractor


def test_the_judge_computes_in_float32_in_a_training_that_does_not(make_training):
    judge, seen = make_training().judge, []
    judge.tower.register_forward_hook(
        lambda *_: seen.append((torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32))
    )
    with tensorfloat(True):
        JudgeExtractor(judge)(torch.zeros(2, 3, 16, 16, dtype=torch.uint8))
        assert torch.backends.cuda.matmul.allow_tf32
    assert seen == [(False, False)]
