"""The paired comparison of a sweep's points: which columns are metrics, and the interval."""

import pytest
from scipy.stats import ttest_rel

from bench.paired import by_value, metrics_of, paired, table


def test_the_interval_is_that_of_the_paired_t_test():
    ours, theirs = {0: 0.7, 1: 0.66, 2: 0.75, 5: 0.1}, {0: 0.65, 1: 0.64, 2: 0.66, 7: 0.9}
    low, high = ttest_rel([0.7, 0.66, 0.75], [0.65, 0.64, 0.66]).confidence_interval(0.95)
    assert paired(ours, theirs) == f"{0.16 / 3:+.3f} ({low:+.3f} to {high:+.3f})"
    assert paired({0: 0.5}, {0: 0.25}) == "+0.250"
    assert paired({0: 0.5}, {1: 0.25}) == "no seed in common"


def test_unfinished_trials_and_other_columns_are_left_out():
    columns = ["trial", "state", "pairs", "replica", "linear_acc", "knn_acc", "epoch 0", "seconds"]
    assert metrics_of(columns) == ["linear_acc", "knn_acc"]
    rows = [
        {"state": state, "pairs": pairs, "replica": replica, "knn_acc": value}
        for state, pairs, replica, value in [
            ("COMPLETE", "plain", "0", "0.5"), ("FAIL", "plain", "1", ""), ("COMPLETE", "other", "0", "0.75"),
        ]
    ]  # fmt: skip
    found = by_value(rows, "pairs", "knn_acc")
    assert found == {"plain": {0: 0.5}, "other": {0: pytest.approx(0.75)}}
    assert table(found, "pairs", "plain", "knn_acc").splitlines()[2:] == [
        "| `plain` | 0.500 | 0.500 |  |",
        "| `other` | 0.750 | 0.750 | +0.250 |",
    ]
