"""The table for papers."""

from sweeps.report.markdown import markdown
from sweeps.report.page import render
from tests.sweeps.report.studies import MARKUP, Studies, add, grid


def test_points_with_replicas(studies: Studies) -> None:
    grid(studies.make("h-1"), replicas=2)
    lines = markdown(studies.read("h-1")).splitlines()
    assert lines[2:7] == [
        "Study h-1",
        "",
        "| loss | h | objective | sd | 95 % interval | n | against the best |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- |",
        "| **symmetric** | **0.5** | **20.05** | **0.071** | **20.00 to 20.10** | **2** | **best** |",
    ]
    assert "| symmetric | 2 | 35.05 | 0.071 | 35.00 to 35.10 | 2 | worse: +14.35 to +15.65 |" in lines
    assert lines[-2] == "Trials not in the table: 2 pruned, 2 fail, 0 running, 0 waiting."


def test_another_aggregate_than_the_mean_is_shown_as_it_decides(studies: Studies) -> None:
    study = studies.make("s", aggregate="median", replicas=3)
    for h, values in {1.0: (1.0, 1.0, 10.0), 2.0: (2.0, 2.0, 2.0)}.items():
        for replica, value in enumerate(values):
            add(study, {"h": h}, [value], replica=replica)
    told = markdown(studies.read("s"))
    assert "| h | objective, median | objective, mean | sd | 95 % interval | n | against the best |" in told
    assert "| **1** | **1** | **4.000** | **5.2** |" in told
    assert "The order is that of hydra.sweeper.aggregate=median." in told
    page = render(studies.read("s"), "*.png")
    assert "Best: h=1 with objective 1 (median; mean 4 ± 5.2 [1, 10] n=3)" in page
    assert "h=2 (100.00% higher)" in page


def test_one_trial_a_point_has_no_interval(studies: Studies) -> None:
    grid(studies.make("s"))
    assert "| **symmetric** | **0.5** | **20** |" in markdown(studies.read("s"))


def test_markup_is_text(studies: Studies) -> None:
    add(studies.make("s"), {"name": MARKUP}, [1.0])
    [row] = [line for line in markdown(studies.read("s")).splitlines() if "bold" in line]
    assert row.startswith(r"""| **&lt;b&gt;bold&lt;/b&gt; & "double" 'single' $x$ {{ 7 \* 7 }} \| \`code\`** |""")


def test_nothing_complete(studies: Studies) -> None:
    studies.make("s")
    assert "No trial is complete." in markdown(studies.read("s"))
