"""MLflow's pages in a headless Chromium, handled as a person does: by clicks on what they show.

Only what is on the screen is asked of the pages (MLflow 3's), with class names where nothing better marks a thing.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect, sync_playwright

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START_SECONDS = 120  # that a server may take until it answers
WINDOW: ViewportSize = {"width": 1600, "height": 1600}  # pixels
WAIT_MS = 30_000  # that the browser waits for a thing to appear
QUIET = """
localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');
localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');
"""  # the chat window beside each page stays closed
LINES = """
plot => plot.data.filter(line => line.mode && line.mode.includes('lines') && line.x && line.x.length > 1)
    .map(line => ({name: line.name, x: Array.from(line.x), y: Array.from(line.y)}))
"""  # what a plotly chart draws


def find_chromium() -> str | None:
    """The system's Chromium or Chrome, if there is one."""
    return next((found for name in CHROMIUMS if (found := shutil.which(name))), None)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """`mlflow ui` of the database `mlflow.db` in this folder, on loopback and a free port; gives its address.

    Raises:
        TimeoutError: it does not answer.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["-m", "mlflow", "ui", "--backend-store-uri", "sqlite:///mlflow.db", "--host", "127.0.0.1",
               "--port", str(port), "--workers", "1"]  # fmt: skip
    server = subprocess.Popen(
        [sys.executable, *command], cwd=folder, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_for(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(f"{address}/health"):
            return
        time.sleep(0.2)
    raise TimeoutError("mlflow ui does not answer")


@contextmanager
def browser(chromium: str) -> Iterator[Browser]:
    """A browser, for several pages."""
    with sync_playwright() as playwright, playwright.chromium.launch(
        executable_path=chromium, args=["--no-sandbox"]  # loopback alone
    ) as browser:  # fmt: skip
        yield browser


@contextmanager
def new_page(browser: Browser) -> Iterator[Page]:
    """An empty page, in a window so large that no table hides a row that is not on the screen."""
    with browser.new_page(viewport=WINDOW) as page:
        page.set_default_timeout(WAIT_MS)
        expect.set_options(timeout=WAIT_MS)
        page.add_init_script(QUIET)
        yield page


@contextmanager
def browsing(chromium: str) -> Iterator[Page]:
    """A page of a browser of its own."""
    with browser(chromium) as started, new_page(started) as page:
        yield page


def open_experiment(page: Page, address: str, name: str) -> None:
    """From the start page to an experiment's table of runs."""
    page.goto(f"{address}/#/experiments")
    page.get_by_text("Model training", exact=True).click()
    page.get_by_role("link", name=name, exact=True).click()
    page.locator("[role=gridcell] a[href*='/runs/']").first.wait_for()


def names(page: Page) -> list[str]:
    """The runs' names, from top to bottom."""
    return _in_order(page, "[role=gridcell][col-id*='Run Name']")


def expect_sorted(page: Page, key: str, wanted: dict[str, float], ascending: bool) -> None:
    """Wait until the runs of the table that have a metric are these with their values, and sorted by it.

    Raises:
        AssertionError: they are not after `WAIT_MS`.
    """
    deadline = time.monotonic() + WAIT_MS / 1000
    while True:  # while the table is drawn anew, columns may differ in length
        shown = {name: float(text) for name, text in zip(names(page), values(page, key), strict=False) if text != "-"}
        in_order = list(shown.values()) == sorted(shown.values(), reverse=not ascending)
        if in_order and shown == pytest.approx(wanted, rel=1e-6):
            return
        assert time.monotonic() < deadline, f"{shown} is not {wanted} in order"
        page.wait_for_timeout(100)


def name_of(page: Page, name: str) -> Locator:
    """A run's link in the table."""
    return page.locator("[role=gridcell] a[href*='/runs/']").get_by_text(name, exact=True)


def fold(page: Page, name: str) -> None:
    """Show or hide the runs inside a run."""
    page.locator("[role=gridcell][col-id*='Run Name']").filter(has_text=name).get_by_role("button").click()


def toggle_columns(page: Page, *titles: str) -> None:
    """Tick, or untick, metrics and attributes in the list of columns."""
    page.get_by_role("button", name="Columns", exact=True).click()
    for title in titles:
        page.get_by_placeholder("Search columns").fill(title)
        entry = page.locator(".du-bois-light-tree-treenode").filter(has=page.get_by_text(title, exact=True))
        entry.locator(".du-bois-light-tree-checkbox").click()
    page.keyboard.press("Escape")


def widen(page: Page, title: str, by: int) -> None:
    """Drag the edge of a column, by some pixels."""
    edge = _header(page, title).locator("xpath=ancestor-or-self::*[contains(@class, 'ag-header-cell')][1]")
    box = edge.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] - 1, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by, y, steps=5)
    page.mouse.up()


def sort_by(page: Page, key: str, ascending: bool) -> None:
    """Click a metric's header until the table is sorted so."""
    wanted = f"orderByAsc={str(ascending).lower()}"
    for _ in range(2):
        _header(page, key).click()
        page.wait_for_url(lambda url: f"{key}%60" in url)
        if wanted in page.url:
            return
    page.wait_for_url(lambda url: wanted in url)


def values(page: Page, key: str) -> list[str]:
    """A metric's column from top to bottom."""
    return _in_order(page, f"[role=gridcell][col-id='metrics.`{key}`']")


def compare(page: Page, chosen: list[str], key: str) -> Locator:
    """From the table to the comparison of some runs, and from there to the chart of a metric, which is returned."""
    for name in chosen:
        row = page.locator("[role=row]").filter(has=name_of(page, name))
        row.locator("input.ag-checkbox-input").check()
    page.get_by_role("button", name="Compare", exact=True).click()
    link, metrics = page.get_by_role("link", name=key, exact=True), page.locator("a[href*='/metric?']")
    metrics.first.wait_for()
    while link.count() == 0:  # the list has in the document what is on the screen alone
        before = metrics.last.inner_text()
        metrics.last.evaluate("link => { for (let at = link; at; at = at.parentElement) at.scrollTop += 200 }")
        page.wait_for_timeout(200)
        assert metrics.last.inner_text() != before, f"{key} is not among the metrics of these runs"
    link.click()
    chart = page.locator(".js-plotly-plot")
    chart.locator(".js-line").first.wait_for(state="attached")
    return chart


def open_charts(page: Page) -> Locator:
    """From the table of an experiment to the charts of its runs; gives the header of the first section."""
    page.goto(f"{page.url}&compareRunsMode=CHART")
    first = page.get_by_test_id("experiment-view-compare-runs-section-header").first
    first.wait_for()
    return first


def lines(chart: Locator) -> list[dict[str, Any]]:
    """What it draws as lines: name, x, y."""
    drawn: list[dict[str, Any]] = chart.evaluate(LINES)
    return drawn


def open_artifact(page: Page, run: str, file: str) -> Locator:
    """From the table to a run's page, its artifacts and one picture among them, which is returned."""
    name_of(page, run).click()
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text(file, exact=True).first.click()
    return page.locator("img[src^='blob:']").first


def _header(page: Page, key: str) -> Locator:
    return page.get_by_role("columnheader").filter(has_text=key).last


def _in_order(page: Page, cells: str) -> list[str]:
    """The text of the table's cells from top to bottom; in the document they stand in another order."""
    placed: list[tuple[int, str]] = page.locator(cells).evaluate_all(
        "cells => cells.map(cell => [Number(cell.closest('[role=row]').getAttribute('row-index')),"
        " (cell.querySelector('a') || cell).innerText])"
    )
    return [text for _, text in sorted(placed)]
