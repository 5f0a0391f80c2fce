"""The effects of single values: exact where effects add up, classical intervals, and no answer where there is none."""

import itertools

import numpy as np
import pytest
from optuna.trial import TrialState
from scipy.stats import studentized_range

from sweeps.report.main_effects import effects_lead, effects_table, main_effects
from sweeps.report.markdown import markdown
from sweeps.report.page import render
from tests.sweeps.report.studies import Studies, add

C_IT = {0.5: 0.0, 1.0: 0.1, 2.0: 0.3, 4.0: 0.5}
H = {0.1: 0.2, 0.5: 0.0}
LOSS = {"plain": 0.4, "symmetric": 0.0}


def test_effects_that_add_up_are_found_exactly_also_under_a_condition(studies: Studies) -> None:
    study = studies.make("s")
    for loss, c_it in itertools.product(LOSS, C_IT):
        for h in H if loss == "symmetric" else (None,):
            own = 0.0 if h is None else H[h] - 0.1  # plain is compared at the mean of h
            value = 1 + LOSS[loss] + C_IT[c_it] + own
            point = {"loss": loss, "C_it": c_it, **({} if h is None else {"h": h})}
            # later steps, which few reach, must not count
            add(study, point, state=TrialState.PRUNED, steps={3: value, **({6: 9.0} if c_it == 0.5 else {})})
    found = main_effects(studies.read("s"))
    assert not isinstance(found, str)
    assert found.step == 3
    assert found.explained == pytest.approx(1)
    told = {(effect.axis, effect.value): effect.difference for effect in found.effects}
    wanted = {(axis, v): d for axis, of in {"loss": LOSS, "C_it": C_IT, "h": H}.items() for v, d in of.items()}
    assert told == pytest.approx(wanted, abs=1e-12)
    assert [effect.value for effect in found.effects] == ["symmetric", "plain", *C_IT, 0.5, 0.1]


def test_intervals_are_those_of_a_balanced_two_way_table(studies: Studies) -> None:
    draw = np.random.default_rng(0)
    values = draw.normal(size=(3, 4))
    study = studies.make("s", ["maximize"])
    for (i, a), (j, b) in itertools.product(enumerate((1.0, 2.0, 3.0)), enumerate((1.0, 2.0, 3.0, 4.0))):
        add(study, {"a": a, "b": b}, [0.0], steps={5: float(values[i, j])})
    found = main_effects(studies.read("s"))
    assert not isinstance(found, str)
    rows = values.mean(axis=1)
    rest = values - rows[:, None] - values.mean(axis=0) + values.mean()
    freedom = 2 * 3
    error = studentized_range.ppf(0.95, 3, freedom) * np.sqrt((rest**2).sum() / freedom / 4)
    for effect in found.effects[1:3]:
        difference = rows[int(effect.value) - 1] - rows.max()  # the greatest is the best
        assert effect.difference == pytest.approx(difference)
        assert effect.interval == pytest.approx((difference - error, difference + error))


def test_axes_whose_interplay_decides_explain_nothing_by_themselves(studies: Studies) -> None:
    study = studies.make("s")
    for h, c_it in itertools.product(range(4), range(4)):
        add(study, {"h": float(h), "C_it": float(c_it)}, [0.0], steps={5: (-1.0) ** (h + c_it) + 0.1 * h})
    sweep = studies.read("s")
    found = main_effects(sweep)
    assert not isinstance(found, str)
    of_h = 0.01 * 1.25 / (0.01 * 1.25 + 1)  # variances of 0.1 h and of the pattern
    assert found.shares == pytest.approx({"h": of_h, "C_it": 0})
    assert found.explained == pytest.approx(of_h)
    assert "The sum explains 1% of the variance; without h 0%, without C_it 1%." in effects_lead(sweep, found)
    assert "Later" not in effects_lead(sweep, found)  # all trials end there
    assert "fANOVA" not in render(sweep, "*.png")


def test_trials_of_different_lengths_are_compared_at_their_ends(studies: Studies) -> None:
    study = studies.make("s")
    for kimg, h in itertools.product((2.0, 4.0, 8.0), (0.1, 0.5, 2.0, 5.0)):
        steps = {step: 1 - step / 100 + 0.001 * h for step in range(2, int(kimg) + 1, 2)}
        add(study, {"kimg": kimg, "h": h}, [steps[int(kimg)]], steps=steps)
    sweep = studies.read("s")
    found = main_effects(sweep)
    assert not isinstance(found, str)
    assert found.step is None
    assert [effect.value for effect in found.effects[:3]] == [8, 4, 2]
    assert "at the end of their trials, whose lengths differ" in markdown(sweep)


def test_where_points_cannot_tell_effects_apart_there_are_none(studies: Studies) -> None:
    study = studies.make("s")
    for a, c in itertools.product((1.0, 2.0), range(8)):
        add(study, {"a": a, "b": a, "c": float(c)}, [a + c], steps={1: a + c})
    sweep = studies.read("s")
    assert "cannot tell the axes apart" in str(main_effects(sweep))
    assert "cannot tell the axes apart" in render(sweep, "*.png")


def test_why_there_are_none_is_said(studies: Studies) -> None:
    few, wide, equal = studies.make("few"), studies.make("wide"), studies.make("equal")
    for a, b in itertools.product((1.0, 2.0), (1.0, 2.0, 3.0)):
        add(few, {"a": a, "b": b}, [a + b], steps={1: a + b})
    for a, b in itertools.product((1.0, 2.0), [b / 2 for b in range(13)]):
        add(wide, {"a": a, "b": b}, [a + b], steps={1: a + b})
    for a, b in itertools.product((1.0, 2.0, 3.0), (1.0, 2.0, 3.0, 4.0)):
        add(equal, {"a": a, "b": b}, [1.0], steps={1: 1.0})
    said = {name: main_effects(studies.read(name)) for name in ("few", "wide", "equal")}
    assert said == {
        "few": "Needs 9 points for so many values; there are 6.",
        "wide": "Needs axes of at most 12 values; b has 13.",
        "equal": "All objectives are equal: there is nothing to explain.",
    }


def test_the_page_and_the_table_for_papers_show_them(studies: Studies) -> None:
    study = studies.make("s")
    for c_it, h in itertools.product((1.0, 2.0, 3.0, 4.0), (0.1, 0.5, 2.0)):
        add(study, {"C_it": c_it, "h": h}, state=TrialState.PRUNED, steps={3: c_it + 0.01 * h})
    sweep = studies.read("s")
    found = main_effects(sweep)
    assert not isinstance(found, str)
    cells = [row.cells for row in effects_table(sweep, found).rows]
    assert [row[:3] for row in cells[:2]] == [("C_it", "1", "3"), ("", "2", "3")]
    assert "What each value does by itself" in render(sweep, "*.png")
    assert "The 12 complete and pruned points at kimg 3" in markdown(sweep)


def test_replicas_are_one_point_although_a_command_named_the_axes_in_another_order(studies: Studies) -> None:
    draw = np.random.default_rng(0)
    study = studies.make("s")
    for replica, (a, b) in itertools.product(range(2), itertools.product((1.0, 2.0, 3.0, 4.0), (1.0, 2.0, 3.0))):
        point = {"a": a, "b": b} if replica == 0 else {"b": b, "a": a}
        add(study, point, [0.0], steps={5: a + b + float(draw.normal())}, replica=replica)
    sweep = studies.read("s")
    found = main_effects(sweep)
    assert not isinstance(found, str)
    assert found.n == 12
    assert {(effect.axis, effect.n) for effect in found.effects} == {("a", 3), ("b", 4)}
    assert {str(trial) for trial in sweep.trials} == {f"a={a}  b={b}" for a in range(1, 5) for b in range(1, 4)}


def test_a_value_whose_trials_have_all_failed_is_named_and_the_others_are_compared(studies: Studies) -> None:
    study = studies.make("s")
    for a, b in itertools.product((1.0, 2.0, 3.0, 4.0, 5.0), (1.0, 2.0, 3.0, 4.0)):
        if a == 4:
            add(study, {"a": a, "b": b}, state=TrialState.FAIL, reason="loss is nan")
        else:
            add(study, {"a": a, "b": b}, [a + b], steps={5: a + b})
    sweep = studies.read("s")
    found = main_effects(sweep)
    assert not isinstance(found, str)
    assert (found.n, found.without) == (16, (("a", 4.0),))
    rows = [row.cells for row in effects_table(sweep, found).rows]
    named = next(index for index, row in enumerate(rows) if row[1] == "4")
    assert rows[named] == ("", "4", "0", "-", "", "", "no point has a value")
    assert rows[named + 1][0] == "b"
