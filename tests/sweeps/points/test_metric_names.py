"""The metrics' own names, as jobs tell them."""

from sweeps.points.metric_names import attribute_names, objective_names
from sweeps.points.ranking import Goal, Ranking
from sweeps.points.trial_record import TrialRecord

TOLD = {"returned": "fjd2k_clip_tiny", "fid": "fid2k_clip_tiny"}


def record(number: int, names: dict[str, str], **attributes: float) -> TrialRecord:
    return TrialRecord(number, "COMPLETE", {"h": 1.0}, 3.0, values=(3.0, 4.0), attributes=attributes, names=names)


def test_a_name_that_a_job_has_told_replaces_the_short_one() -> None:
    records = [record(0, {}, speed=1.0), record(1, TOLD, fid=2.0, objective_sd=0.1, speed=1.0)]
    assert objective_names(["value"], records) == ("fjd2k_clip_tiny",)
    assert objective_names(["fid", "speed"], records[:1]) == ("fid", "speed")
    goal = Goal(names=("mine", "fid"), directions=("minimize", "minimize"))
    assert Ranking(records, goal).goal.names == ("fjd2k_clip_tiny", "fid2k_clip_tiny")
    assert attribute_names(("fjd2k_clip_tiny",), records) == {
        "speed": "speed", "fid": "fid2k_clip_tiny", "objective_sd": "fjd2k_clip_tiny_sd",
    }  # fmt: skip
    assert "fid" not in Ranking(records, goal).attributes  # it is an objective


def test_trials_that_measure_differently_are_seen_to_do_so() -> None:
    records = [record(0, TOLD), record(1, {"returned": "fjd5k_clip_tiny"})]
    assert objective_names(["value"], records) == ("fjd2k_clip_tiny | fjd5k_clip_tiny",)
