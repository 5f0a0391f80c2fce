"""MLflow's pages of a real sweep, in a real browser: what a person looks for is there."""

import json
import sys

import pytest
from PIL import Image

from tests import warm
from tests.helpers import ROOT
from tests.tiny import tiny

pages = pytest.importorskip("tests.tracking.mlflow_pages", reason="playwright is not installed")
pytestmark = pytest.mark.slow

H = ("0.1", "0.5", "2")
NAMES = [f"h={h} symmetric" for h in H]
FID, BEST = "fjd32_clip_tiny64", "fjd32_clip_tiny64_best"


@pytest.fixture(scope="module")
def swept(cache_dir, tmp_path_factory, mlflow_store):
    """A folder in which a sweep has run."""
    if pages.find_chromium() is None:
        pytest.skip("there is no Chromium here (Debian: apt install chromium)")
    folder = tmp_path_factory.mktemp("swept")
    mlflow_store(folder / "mlflow.db")
    command = [sys.executable, str(ROOT / "train.py"), "-m", f"h={','.join(H)}", "hydra.sweeper.workers=1"]
    fast = ["metrics.fid_sd=never", "metrics.kid=never", "metrics.precision_recall=never", "metrics.clip_score=never"]
    warm.run([*command, *tiny(cache_dir, *fast)], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def address(swept):
    with pages.serving(swept) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with pages.browser(pages.find_chromium()) as browser:
        yield browser


@pytest.fixture
def page(address, browser):
    with pages.new_page(browser) as page:
        pages.open_experiment(page, address, "clipgan")
        yield page


@pytest.fixture(scope="module")
def study(swept):
    """The sweep's folder, which has the study's name, and a folder a trial."""
    [found] = swept.glob("runs/*")
    return found


@pytest.fixture
def parent(study):
    return f"sweep h=0.1,0.5,2 loss=symmetric shapes 16px ({study.name})"


@pytest.fixture
def unfolded(page, parent):
    """The table with the sweep's trials."""
    pages.fold(page, parent)
    pages.expect(pages.name_of(page, NAMES[-1])).to_be_visible()
    return page


def column(study, key):
    """A figure of each trial: kimg and values."""
    files = (study / str(number) / "metrics.jsonl" for number in range(len(H)))
    records = [[json.loads(line) for line in file.read_text().splitlines()] for file in files]
    return [([row["step"] for row in rows], [row[key] for row in rows]) for rows in records]


def test_the_trials_are_inside_their_sweep_under_names_that_say_what_differs(page, parent):
    assert pages.names(page) == [parent]
    pages.fold(page, parent)
    pages.expect(pages.name_of(page, NAMES[-1])).to_be_visible()
    assert pages.names(page)[0] == parent
    assert sorted(pages.names(page)[1:]) == NAMES
    own, *inner = (pages.name_of(page, name).bounding_box()["x"] for name in (parent, *NAMES))
    assert min(inner) > own


@pytest.mark.endurance
def test_the_best_fid_sorts_the_table(page, unfolded, study):
    best = {name: values[-1] for name, (_, values) in zip(NAMES, column(study, BEST), strict=True)}
    pages.toggle_columns(page, BEST)
    for ascending in (True, False):
        pages.sort_by(page, BEST, ascending)
        pages.expect_sorted(page, BEST, best, ascending)  # two may be equal


@pytest.mark.endurance
def test_a_comparison_draws_fid_against_kimg(page, unfolded, study):
    chart = pages.compare(page, NAMES, FID)
    drawn = {line["name"]: (line["x"], line["y"]) for line in pages.lines(chart)}
    assert drawn.keys() == set(NAMES)
    for name, (kimg, values) in zip(NAMES, column(study, FID), strict=True):
        x, y = drawn[name]
        assert x == kimg == [0, 1, 2]
        assert y == pytest.approx(values, rel=1e-9)
    assert all(path.get_attribute("d").count("L") >= 1 for path in chart.locator(".js-line").all())


def test_the_charts_begin_with_the_objective(page, unfolded):
    first = pages.open_charts(page)
    pages.expect(first).to_contain_text("Goal")
    chart = page.locator(".js-plotly-plot").first
    chart.locator(".js-line").first.wait_for(state="attached")
    assert {line["name"] for line in pages.lines(chart)} == set(NAMES)  # their sweep has no objective of its own


def test_a_sample_grid_is_a_picture_and_the_page_says_how_to_go_on(page, unfolded, study):
    picture = pages.open_artifact(page, NAMES[1], "samples-000002.png")
    pages.expect(picture).to_be_visible()
    shown = picture.evaluate("image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])")
    assert tuple(shown) == Image.open(study / "1" / "samples-000002.png").size
    page.get_by_role("tab", name="Overview").click()
    text = page.get_by_text("To go on, after its end with more kimg:")
    pages.expect(text).to_be_visible()
    command = page.get_by_text("train.py").first.inner_text()
    assert "h=0.5" in command
    assert command.strip().endswith(f"hydra.run.dir={study / '1'}")
