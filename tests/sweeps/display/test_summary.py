"""The summary at the end of a sweep."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from sweeps.display.summary import PIPED_WIDTH, print_summary
from sweeps.display.table import MAX_STEPS, best_step_value, shown_steps, study_table
from sweeps.points.ranking import Goal, Ranking
from sweeps.points.trial_record import TrialRecord

RECORDS = [
    TrialRecord(
        0,
        "COMPLETE",
        {"h": 0.1, "loss": "a"},
        12.25,
        {2: 30.0, 4: 12.25},
        {"sec_per_kimg": 1.5},
        run_dir="/r/0",
        values=(12.25,),
    ),
    TrialRecord(
        1, "COMPLETE", {"h": 2.0, "loss": "a"}, 11.5, {2: 10.123456789, 4: 11.5}, run_dir="/r/1", values=(11.5,)
    ),
    TrialRecord(
        3, "FAIL", {"h": 0.5, "loss": "a"}, None, {2: float("nan")}, reason="DivergenceError: nan", run_dir="/r/2"
    ),
    TrialRecord(4, "WAITING", {"h": 5.0, "loss": "a"}),
    TrialRecord(5, "RUNNING", {"h": 1000000.5, "loss": "a"}),
]

FURTHER = [("to see it all", "report s")]


def printed(
    records: list[TrialRecord], n_run: int = 2, n_superseded: int = 0, width: int = PIPED_WIDTH, replicas: int = 1
) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False)
    print_summary(
        console,
        Ranking(records, Goal(step_name="kimg", replicas=replicas)),
        study="s",
        asked="5 points",
        n_run=n_run,
        n_superseded=n_superseded,
        further=FURTHER,
    )
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_one_row_for_each_point() -> None:
    lines = printed(RECORDS)
    header = ["trial", "h", "loss", "kimg", "2", "kimg", "4", "value_best", "sec_per_kimg", "value", "state"]
    assert lines[1] == "study s"
    assert lines[3].split() == header
    assert [line.split() for line in lines[5:10]] == [
        ["0", "0.1", "a", "30.00", "12.250", "12.25", "1.500", "12.250", "COMPLETE"],
        ["1", "2", "a", "10.12", "11.500", "10.12", "-", "11.500", "COMPLETE"],
        ["3", "0.5", "a", "nan", "-", "-", "-", "-", "FAIL"],
        ["4", "5", "a", "-", "-", "-", "-", "-", "WAITING"],
        ["5", "1000000.5", "a", "-", "-", "-", "-", "-", "RUNNING"],
    ]


def test_a_narrow_terminal_shows_whole_columns() -> None:
    lines = printed(RECORDS, width=80)
    assert lines[3].split() == ["trial", "h", "loss", "kimg", "2", "kimg", "4", "value_best", "value", "state"]
    assert lines[11] == "not shown, as the terminal is too narrow: sec_per_kimg"
    lines = printed(RECORDS, width=60)
    assert lines[3].split() == ["trial", "h", "loss", "kimg", "4", "value", "state"]
    assert lines[11] == "not shown, as the terminal is too narrow: value_best, sec_per_kimg"
    assert "1 of 2 reported steps are shown" in lines


def test_axes_alone_may_be_too_wide_for_a_terminal() -> None:
    """Trials without a reported step, as of any Hydra app: nothing is left to leave out."""
    point = {f"an_axis_with_a_long_name_{place}": 1.0 for place in range(8)}
    records = [TrialRecord(number=0, state="COMPLETE", point=point, values=(1.0,), overrides=())]
    console = Console(file=io.StringIO(), width=40)
    shown = study_table(Ranking(records, Goal()), console)
    assert (len(shown.table.columns), shown.n_steps, shown.left_out) == (11, 0, ())


def test_what_follows_the_table() -> None:
    assert printed(RECORDS, n_superseded=2)[11:] == [
        "not shown: 2 earlier trials of these points (interrupted, orphaned or retried)",
        "best: trial 1  h=2  loss=a  value 11.5  in /r/1",
        "with one seed it is not known whether noise is the reason: h=0.1  loss=a (6.52% higher)",
        "failed: trial 3  h=0.5  loss=a  DivergenceError: nan  in /r/2",
        "to run the failed points again, repeat the command with hydra.sweeper.retry_failed=true",
        "running in another process: 1",
        "waiting: 1, until the command that gave them is run again",
        "to see it all:",
        "    report s",
    ]


def test_a_point_with_more_seeds_is_the_best_of_these_points_only() -> None:
    """A better point has one seed."""
    records = [
        TrialRecord(number, "COMPLETE", {"x": x}, value, replica=replica, values=(value,))
        for number, (x, replica, value) in enumerate([(3.0, 0, 3.0), (5.0, 0, 15.0), (5.0, 1, 15.5)])
    ]
    lines = printed(records, replicas=2)
    assert any(line.startswith("best of the points with at least 2 seeds: x=5  15.25") for line in lines)
    worse = [records[0], *(replace(record, value=1.0, values=(1.0,)) for record in records[1:])]
    assert any(line.startswith("best: x=5  1 ") for line in printed(worse, replicas=2))


def test_nothing_left_to_run() -> None:
    assert printed(RECORDS[:1], n_run=0)[-3] == "0 trials run: all 5 points are already in study s"


@pytest.mark.parametrize(("direction", "number", "step_value"), [("minimize", 1, 12.25), ("maximize", 0, 30.0)])
def test_the_best(direction: str, number: int, step_value: float) -> None:
    goal = Goal(directions=(direction,))
    [leader] = Ranking(RECORDS, goal).leaders
    assert leader.complete[0].number == number
    assert best_step_value(RECORDS[0], goal) == step_value
    assert best_step_value(RECORDS[2], goal) is None


def test_of_many_steps_an_even_choice_with_the_last() -> None:
    assert shown_steps([1, 2, 3]) == [1, 2, 3]
    assert shown_steps(list(range(1, 49))) == list(range(4, 49, 4))
    assert len(shown_steps(list(range(1000)))) == MAX_STEPS
    steps = {step: 1.0 for step in range(48)}
    assert "12 of 48 reported steps are shown" in printed([TrialRecord(0, "COMPLETE", {}, 1.0, steps, values=(1.0,))])


def test_a_narrow_terminal_loses_no_digit() -> None:
    console = Console(file=io.StringIO(), width=40, force_terminal=True, no_color=True)
    ranking = Ranking(RECORDS, Goal(step_name="kimg"))
    print_summary(console, ranking, study="s", asked="5 points", n_run=1, n_superseded=0, further=[])
    assert isinstance(console.file, io.StringIO)
    assert "…" not in console.file.getvalue()


def test_another_aggregate_than_the_mean_is_shown_beside_it() -> None:
    records = [
        TrialRecord(seed, "COMPLETE", {"h": h}, value, replica=seed, values=(value,))
        for h, values in {1.0: (1.0, 1.0, 10.0), 2.0: (2.0, 2.0, 2.0)}.items()
        for seed, value in enumerate(values)
    ]
    console = Console(file=io.StringIO(), width=PIPED_WIDTH)
    print_summary(console, Ranking(records, Goal(aggregate="median", replicas=3)), "s", "2 points", 2, 0, FURTHER)
    out = console.file.getvalue()  # type: ignore[attr-defined]
    assert "best: h=1  value 1 (median; mean 4 ± 5.2 [1, 10] n=3)" in out
    [header] = [line.split() for line in out.splitlines() if "deviation" in line and "best" in line]
    assert header[:5] == ["h", "n", "median", "mean", "deviation"]
    assert ["1", "3", "1", "4.000", "5.2"] in [line.split()[:5] for line in out.splitlines()]  # two digits: an estimate
