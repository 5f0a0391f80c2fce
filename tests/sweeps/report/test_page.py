"""The page as text; how a browser shows it is tested in test_browser.py."""

import itertools
import re
from pathlib import Path

import pytest
from optuna.trial import TrialState
from PIL import Image

from sweeps.command.study_options import one_message
from sweeps.report import curves, effects, optuna_figures
from sweeps.report.__main__ import write
from sweeps.report.markdown import markdown
from sweeps.report.page import render
from sweeps.report.style import LINE_SCALE
from sweeps.report.tables import pruned_table
from tests.disks import small_disk
from tests.sweeps.report.studies import HOSTILE, Studies, add, grid, hostile


def text_of(studies: Studies, name: str) -> str:
    """The page's own text: without scripts, tags and repeated blanks."""
    page = re.sub(r"<(script|style).*?</\1>", "", render(studies.read(name), "samples-*.png"), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def test_the_content_of_a_page(studies: Studies, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "samples-1.png")
    study = studies.make("h-1")
    grid(study, replicas=3)
    add(study, {"loss": "symmetric", "h": 0.5}, [1.0], run_dir=str(tmp_path), replica=0)
    page = render(studies.read("h-1"), "samples-*.png")
    text = text_of(studies, "h-1")
    assert text.startswith(" objective over loss, h (h-1) objective over loss, h study h-1 · 24 complete, 3 fail,")
    assert "3 pruned, 1 earlier attempt · objective to be minimized" in text
    assert "Best: loss=symmetric h=0.5 with objective 13.77 ± 11" in text
    for drawing in ("curves", "replicas", "map0", "parallel"):
        assert f'id="{drawing}"' in page
    assert "Needs at least 10 complete points to say anything; there are 8." in text
    assert page.count("<img src") == 1
    assert "asymmetric 1 9.5" not in text
    assert "loss=asymmetric h=1 DivergenceError: nan" in text
    assert "python train.py kimg=8 loss=symmetric h=0.1" in text
    assert page.count("plotly.js v") == 1


def test_a_full_disk_leaves_the_earlier_report_and_is_one_message(studies: Studies, tmp_path: Path) -> None:
    grid(studies.make("s"))
    with small_disk(tmp_path / "disk", 200) as disk:  # a page has megabytes
        page = disk / "report.html"
        page.write_text("the earlier one")
        told = re.escape(f"{page} cannot be written (No space left on device)")
        with pytest.raises(SystemExit, match=told), one_message("--out FILE.html"):
            write("s", studies.url, page, "*")
        assert page.read_text() == "the earlier one"
        assert not list(disk.glob("*.partial"))


def test_it_names_no_other_host(studies: Studies) -> None:
    grid(studies.make("s"))
    page = re.sub(r"<script>/\*\*.*?</script>", "", render(studies.read("s"), "*"), flags=re.DOTALL)
    assert not re.search(r"(src|href)=[\"']?https?:", page)


def test_names_are_text_and_no_markup(studies: Studies) -> None:
    hostile(studies.make(HOSTILE))
    page = render(studies.read(HOSTILE), "*")
    assert HOSTILE not in page
    assert "<img" not in page.replace("&lt;img", "")
    assert "&lt;/script&gt;&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty", "no trials · objective to be minimized"),
        ("failures", "2 fail ·"),
        ("one", "Best: (no axis) with objective 1 "),
        ("running", "1 complete, 1 waiting · objective to be minimized"),
        ("equal", "All objectives are equal: there is nothing to explain."),
    ],
)
def test_odd_studies(studies: Studies, name: str, words: str) -> None:
    study = studies.make(name)
    if name == "failures":
        for h in (1.0, 2.0):
            add(study, {"h": h}, state=TrialState.FAIL, reason="OutOfMemoryError: CUDA out of memory")
    if name == "one":
        add(study, {}, [1.0])
    if name == "running":
        add(study, {"h": 1.0}, [1.0])
        add(study, {"h": 2.0}, state=TrialState.WAITING)
    if name == "equal":
        for h in range(12):
            add(study, {"h": float(h % 11), "loss": "symmetric" if h < 11 else "plain"}, [1.0])
    assert words in text_of(studies, name)


def test_importances_find_the_axis_that_matters(studies: Studies) -> None:
    from sweeps.report.optuna_figures import importances

    study = studies.make("s")
    for h in range(10):
        for loss in ("symmetric", "plain"):
            add(study, {"h": float(h), "loss": loss}, [h + 0.1 * (loss == "plain")])
    figure = importances(studies.read("s"))
    assert not isinstance(figure, str)
    [bars] = figure.data
    shares = dict(zip(bars.y, bars.x, strict=True))
    assert shares["h"] > 0.95
    assert sum(shares.values()) <= 1


def test_the_front_has_the_points_not_a_lucky_replica(studies: Studies) -> None:
    from sweeps.report.optuna_figures import pareto_front

    study = studies.make("s", directions=["minimize", "minimize"])
    for h, rows in {0.1: [(1.0, 10.0), (1.0, 10.0)], 0.5: [(0.6, 10.5), (1.8, 10.5)]}.items():
        for replica, row in enumerate(rows):
            add(study, {"h": h}, row, replica=replica)
    figure = pareto_front(studies.read("s"))
    assert not isinstance(figure, str)
    drawn = {point for trace in figure.data for point in zip(trace.x or (), trace.y or (), strict=True)}
    assert drawn == {(1.0, 10.0), (1.2, 10.5)}


def test_a_point_with_fewer_replicas_has_no_colour_in_the_heat_map(studies: Studies) -> None:
    from sweeps.report.effects import heat_map

    study = studies.make("s")
    for h, c_it in itertools.product((1.0, 2.0), (1.0, 2.0)):
        for replica in range(3):
            lucky = h == c_it == 2.0
            state = TrialState.FAIL if lucky and replica else TrialState.COMPLETE
            values = [] if state == TrialState.FAIL else [0.5 if lucky else 1.0 + h]
            add(study, {"h": h, "C_it": c_it}, values, state=state, replica=replica)
    figure = heat_map(studies.read("s"), "h", "C_it")
    assert figure.data[0].z[1][1] is None
    assert "0.5, 1 of 3" in [note.text for note in figure.layout.annotations]
    alone = studies.make("alone")  # as after replicas_top: all that ran have a value
    for h, c_it, replica in ((1.0, 1.0, 0), (1.0, 1.0, 1), (1.0, 2.0, 0), (2.0, 1.0, 0), (2.0, 2.0, 0)):
        add(alone, {"h": h, "C_it": c_it}, [1.0 + h], replica=replica)
    assert heat_map(studies.read("alone"), "h", "C_it").data[0].z == ([2.0, 3.0], [2.0, 3.0])


def test_two_objectives_and_an_axis_of_many_values(studies: Studies) -> None:
    study = studies.make("s", directions=["minimize", "minimize"])
    for n in range(20):
        add(study, {"h": n / 4, "C_it": 1.0 + n % 2}, [abs(n - 7.0), float(n)])
    page = render(studies.read("s"), "*")
    assert 'id="front"' in page
    assert '"title":{"text":"C_it"}' in page.partition('id="slices"')[2]  # beside h: no other axis makes a map with it
    assert "8 of 20 points are on the Pareto front." in text_of(studies, "s")


def test_heat_map_cells(studies: Studies) -> None:
    from sweeps.report.effects import grid_pairs, heat_map

    study = studies.make("s")
    grid(study, replicas=2)
    sweep = studies.read("s")
    assert grid_pairs(sweep) == [("loss", "h")]
    [cells] = heat_map(sweep, "h", "loss").data
    assert list(cells.z[0]) == pytest.approx([24.05, 23.05, 20.05, 25.05, 35.05])
    assert list(cells.z[1][3:]) == [None, None]  # failed, pruned


def test_curves_end_where_the_trials_do(studies: Studies) -> None:
    from sweeps.report.curves import curves

    grid(studies.make("s"))
    figure = curves(studies.read("s"))
    assert figure is not None
    by_name = {trace.name: trace for trace in figure.data}
    assert list(by_name["loss=symmetric  h=0.5"].x) == [2, 4, 6, 8]
    assert list(by_name["loss=symmetric  h=0.5"].y) == [40.0, 30.0, pytest.approx(26.667, abs=1e-3), 25.0]
    assert (list(by_name["pruned"].x), list(by_name["pruned"].y)) == ([2], [56.0])
    assert figure.layout.yaxis.type == "log"


def test_a_value_without_a_complete_trial_stays_on_its_axis(studies: Studies) -> None:
    study = studies.make("one", log_axes=["h"])
    for h in (0.1, 1.0):
        add(study, {"h": h}, [h])
    add(study, {"h": 0.5}, state=TrialState.PRUNED, steps={2: 3.0})
    add(study, {"h": 2.0}, state=TrialState.FAIL, reason="nan")
    figure = effects.one_axis(studies.read("one"), "h")
    assert figure.layout.xaxis.type == "log"
    assert [shape.x0 for shape in figure.layout.shapes] == [0.5, 2.0]
    assert [(note.text, round(10**note.x, 6)) for note in figure.layout.annotations] == [("pruned", 0.5), ("failed", 2)]
    grid(studies.make("two"))
    sweep = studies.read("two")
    assert effects.axis_values(sweep, "h") == [0.1, 0.2, 0.5, 1.0, 2.0]
    notes = effects.heat_map(sweep, "h", "loss").layout.annotations
    assert [(note.x, note.y, note.text) for note in notes] == [(3, 1, "failed"), (4, 1, "pruned")]


def test_logarithmic_axes_are_drawn_so_and_their_ticks_are_whole_numbers(studies: Studies) -> None:
    study = studies.make("log", log_axes=["h"])
    for index in range(20):
        add(study, {"h": 0.1 * 1.2**index, "C": float(index % 7)}, [60.0 + index], steps={1: 90.0, 2: 70.0})
    sweep = studies.read("log")
    assert optuna_figures.slices(sweep, ["h"]).layout.xaxis.type == "log"
    figure = curves.curves(sweep)
    assert figure is not None
    assert figure.layout.yaxis.minorloglabels == "complete"


def test_replicas_that_never_started_are_not_counted_as_pruned(studies: Studies) -> None:
    study = studies.make("s")
    add(study, {"h": 1.0}, [1.0])
    add(study, {"h": 2.0}, state=TrialState.PRUNED, steps={2: 3.0}, replica=0)
    for replica in (1, 2):
        reason = "its point was pruned with replica 0"
        add(study, {"h": 2.0}, state=TrialState.PRUNED, replica=replica, reason=reason)
    assert "1 complete, 1 pruned, 2 not started" in text_of(studies, "s")
    assert len(pruned_table(studies.read("s")).rows) == 1
    assert "1 pruned, 0 fail, 0 running, 0 waiting, 2 not started, as their point was pruned." in markdown(
        studies.read("s")
    )


def test_parallel_coordinates_say_that_they_are_cut(studies: Studies, monkeypatch: pytest.MonkeyPatch) -> None:
    grid(studies.make("s"))
    assert "Parallel coordinates" in text_of(studies, "s")
    assert "complete trials" not in text_of(studies, "s")
    monkeypatch.setattr(optuna_figures, "MAX_LINES", 5)
    assert "Parallel coordinates: the best 5 of 8 complete trials" in text_of(studies, "s")


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_lines_of_parallel_coordinates_have_the_colours_of_their_bar(studies: Studies, direction: str) -> None:
    study = studies.make("s", [direction])
    for h in (1.0, 2.0, 3.0):
        add(study, {"h": h, "a": 1.0}, [h])
    *lines, bar = optuna_figures.parallel_coordinates(studies.read("s")).data
    lightest, darkest = (
        [int(text[i : i + 2], 16) for i in (1, 3, 5)] for text in (LINE_SCALE[0][1], LINE_SCALE[-1][1])
    )
    of_value = {line.y[0]: [int(n) for n in re.findall(r"\d+", line.line.color)] for line in lines}
    low, high = (darkest, lightest) if direction == "minimize" else (lightest, darkest)
    assert of_value[min(of_value)] == low
    assert of_value[max(of_value)] == high
    assert bar.marker.reversescale is (direction == "minimize")
    assert [list(stop) for stop in bar.marker.colorscale] == LINE_SCALE


def test_pictures_of_points_have_one_seed(studies: Studies, tmp_path: Path) -> None:
    study = studies.make("s")
    for h, replica, value in ((1.0, 0, 2.0), (1.0, 1, 1.0), (2.0, 0, 3.0), (3.0, 1, 4.0)):
        folder = tmp_path / f"{h}-{replica}"
        folder.mkdir()
        Image.new("RGB", (4, 4)).save(folder / "samples-000001.png")
        add(study, {"h": h}, [value], replica=replica, run_dir=str(folder))
    text = text_of(studies, "s")
    assert re.search(r"trial \d+\s+h=1 ", text.partition("Pictures of the best points")[2])  # not its better seed
    assert re.search(r"trial \d+\s+h=3, replica 1", text)


def test_points_that_share_no_axis(studies: Studies) -> None:
    study = studies.make("s")
    for axis, n in itertools.product(("h", "C_it"), range(6)):
        add(study, {axis: float(n)}, [n + (axis == "h") * 0.5])
    assert "No axis is one of all points." in text_of(studies, "s")
