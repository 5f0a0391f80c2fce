"""The comparison with the best point in words."""

from sweeps.points.ranking import Goal, Ranking
from sweeps.points.trial_record import TrialRecord
from sweeps.points.verdict import verdict


def ranking(values: dict[float, list[float]], sd: float = 0.0, direction: str = "minimize") -> Ranking:
    records = [
        TrialRecord(0, "COMPLETE", {"h": h}, value, replica=seed, values=(value,), attributes={"objective_sd": sd})
        for h, seeds in values.items()
        for seed, value in enumerate(seeds)
    ]
    return Ranking(records, Goal(directions=(direction,), replicas=max(map(len, values.values()))))


def test_single_seeds() -> None:
    assert verdict(ranking({1.0: [2.0], 2.0: [2.01], 3.0: [3.0]}, sd=0.1)) == [
        "no difference is shown, as measuring the same models again varies as much: h=2 (0.50% higher)",
        "with one seed it is not known whether noise is the reason: h=3 (50.00% higher)",
    ]
    assert verdict(ranking({1.0: [2.0]})) == []


def test_several_seeds() -> None:
    values = {1.0: [2.0, 2.2, 2.4], 2.0: [2.1, 2.2, 2.6], 3.0: [9.0, 9.1, 9.2], 4.0: [1.0]}
    assert verdict(ranking(values)) == [
        "within noise of it, over the seeds: h=2 (4.55% higher)",
        "with one seed it is not known whether noise is the reason: h=4 (54.55% lower)",
        "worse by more than noise, over the seeds: h=3 (313.64% higher)",
    ]


def test_many_points_are_counted_and_zero_is_no_divisor() -> None:
    [line] = verdict(ranking({float(h): [float(h)] for h in range(7)}))
    assert line.endswith(": h=1 (1 higher), h=2 (2 higher), h=3 (3 higher), h=4 (4 higher) and 2 more")
    [line] = verdict(ranking({1.0: [0.5], 2.0: [0.25]}, direction="maximize"))
    assert line.endswith("h=2 (50.00% lower)")
