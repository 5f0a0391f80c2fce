"""The report's tables: points in the order of their rank."""

from sweeps.report.tables import point_table
from tests.sweeps.report.studies import Studies, add


def test_replicas_are_summed_up_and_compared_with_the_best(studies: Studies) -> None:
    study = studies.make("s")
    for h, values in ((0.1, [9.0, 9.2, 8.9]), (0.5, [5.0, 5.3, 4.9]), (1.0, [5.1, 5.2, 5.0]), (2.0, [4.0])):
        for replica, value in enumerate(values):
            add(study, {"h": h}, [value], replica=replica)
    ranking = studies.read("s").ranking
    assert ranking.has_replicas
    assert [point.point["h"] for point in ranking.points] == [0.5, 1.0, 0.1, 2.0]  # a single seed leads nothing
    assert [ranking.count(point) for point in ranking.points] == ["3", "3", "3", "1 of 3"]
    assert [ranking.noise(point) for point in ranking.points] == [None, True, False, None]
    for replica, value in ((1, 7.0), (2, 5.5)):
        add(study, {"h": 2.0}, [value], replica=replica)
    ranking = studies.read("s").ranking
    assert [(point.point["h"], ranking.noise(point)) for point in ranking.points] == [
        (0.5, None),
        (1.0, True),
        (2.0, True),
        (0.1, False),
    ]
    assert ranking.points[0].first.interval == (4.9, 5.3)
    assert ranking.leaders == ranking.points[:1]


def test_the_best_of_a_maximized_objective_comes_first(studies: Studies) -> None:
    study = studies.make("s", directions=["maximize"])
    for h in (1.0, 2.0, 3.0):
        add(study, {"h": h}, [h])
    ranking = studies.read("s").ranking
    assert [point.point["h"] for point in ranking.points] == [3.0, 2.0, 1.0]
    assert not ranking.has_replicas


def test_the_front_of_two_objectives(studies: Studies) -> None:
    study = studies.make("s", directions=["minimize", "maximize"])
    for h, values in ((1.0, (1.0, 1.0)), (2.0, (2.0, 5.0)), (3.0, (3.0, 4.0)), (4.0, (4.0, 6.0))):
        add(study, {"h": h}, values)
    sweep = studies.read("s")
    assert sweep.goal.names == ("objective 1", "objective 2")
    assert [point in sweep.ranking.leaders for point in sweep.points] == [True, True, False, True]


def test_the_sweeps_aggregate_orders_the_points(studies: Studies) -> None:
    study = studies.make("s", aggregate="median", objectives=["FID"])
    for h, values in ((1.0, (1.0, 1.0, 100.0)), (2.0, (2.0, 2.0, 2.0))):
        for replica, value in enumerate(values):
            add(study, {"h": h}, [value], replica=replica)
    sweep = studies.read("s")
    assert sweep.goal.names == ("FID",)
    assert [point.point["h"] for point in sweep.points] == [1.0, 2.0]


def test_deviations_that_jobs_report_count_as_noise(studies: Studies) -> None:
    study = studies.make("s")
    for h, value in ((0.1, 5.0), (0.5, 5.2), (2.0, 9.0)):
        add(study, {"h": h}, [value], **{"job.objective_sd": 0.1})
    sweep = studies.read("s")
    assert [sweep.ranking.noise(point) for point in sweep.points] == [None, True, None]
    table = point_table(sweep)
    assert [row.cells[-1] for row in table.rows] == ["best", "within noise, one seed", "unknown: one seed"]
