"""Trials whose values do not compare: other files, other metrics."""

from pathlib import Path

from sweeps.display.results_file import FILE, write_results
from sweeps.points.comparable import why_not
from sweeps.points.ranking import Goal, Ranking
from sweeps.points.trial_record import Sources, TrialRecord


def record(number: int, settings: str = "s", name: str = "fid2k", **digests: str) -> TrialRecord:
    told = Sources(settings, digests)
    return TrialRecord(
        number, "COMPLETE", {"h": float(number)}, 1.0 + number, values=(1.0 + number,), run=number,
        names={"returned": name}, sources=told,
    )  # fmt: skip


def test_files_that_changed_between_trials_with_the_same_settings() -> None:
    same = [record(0, data="a", judge="x"), record(1, data="a", judge="x"), record(2, data="a")]
    assert why_not(same) == []
    [line] = why_not([*same, record(3, data="b", judge="x")])
    assert line.startswith("no best point, as trials with equal settings had files of other content (data), so they do")
    assert ": trials 0, 1, 2 / trial 3;" in line
    [line] = why_not([record(0, data="a", judge="x"), record(1, data="b", judge="y")])
    assert "of other content (data, judge), so they do not compare: trial 0 / trial 1;" in line


def test_an_axis_of_files_an_unknown_content_and_trials_without_sources_say_nothing() -> None:
    assert why_not([record(0, "shapes", data="a"), record(1, "emoji", data="b")]) == []
    assert why_not([record(0), record(1, data="b")]) == []
    old = TrialRecord(2, "COMPLETE", {"h": 1.0}, 1.0, values=(1.0,))
    assert why_not([record(0, data="a"), old]) == []
    failed = TrialRecord(2, "FAIL", {"h": 9.0}, sources=Sources("s", {"data": "b"}))
    assert why_not([record(0, data="a"), failed]) == []


def test_several_metrics_have_no_best_point(tmp_path: Path) -> None:
    records = [record(0, name="fid2k"), *(record(number, name="fid5k") for number in range(1, 9))]
    ranking = Ranking(records, Goal())
    [line] = ranking.incomparable
    assert line.endswith("fid2k (trial 0), fid5k (trials 1, 2, 3, 4, 5, 6 and 2 more)")
    assert ranking.best is None
    assert ranking.leaders == []
    assert len(ranking.points) == 9
    write_results(ranking, tmp_path)
    assert not (tmp_path / FILE).exists()
