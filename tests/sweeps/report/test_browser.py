"""The page in a real browser, without a network; and the command that writes it, after a real sweep."""

import html
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sweeps.report.__main__ import write
from tests import warm
from tests.sweeps.report.studies import HOSTILE, Studies, grid, hostile
from tests.sweeps.sweep_app import APP, REPOSITORY, App

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY)}


def opened(page: Path) -> tuple[str, list[str]]:
    """The document after its scripts have run, and what the browser's console says."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    done = subprocess.run(
        [
            CHROMIUM,
            *("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=20000"),
            "--host-resolver-rules=MAP * ~NOTFOUND",  # a page that asks a network for something says so
            *("--dump-dom", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def plots(document: str) -> set[str]:
    """The drawings that Plotly has rendered."""
    return set(re.findall(r'<div id="(\w+)" class="plotly-graph-div js-plotly-plot"', document))


@pytest.mark.slow
def test_all_plots_render(studies: Studies, tmp_path: Path) -> None:
    grid(studies.make("s"), replicas=3)
    page, *_ = write("s", studies.url, tmp_path / "s.html", "*")
    document, console = opened(page)
    assert console == []
    assert plots(document) == {"curves", "replicas", "map0", "parallel", "settling"}
    assert document.count('class="main-svg"') >= 4


@pytest.mark.slow
def test_names_run_no_script(studies: Studies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hostile(studies.make(HOSTILE))
    page, table, _ = write(HOSTILE, studies.url, None, "*")
    assert re.fullmatch(r"report-[\w.-]+\.html", page.name)
    assert table.exists()
    document, console = opened(page.absolute())
    assert console == []
    assert f" ({html.escape(HOSTILE, quote=False)})</title>" in document  # and not `owned`
    assert {"curves", "map0", "parallel"} <= plots(document)


@pytest.mark.slow
def test_a_real_sweep_and_the_command_of_a_trial(app: App) -> None:
    app.run("loss=symmetric,asymmetric", "h=0.1,0.5", "C_ii=2", "mode=report", "hydra.sweeper.step_name=kimg")
    report = [sys.executable, "-m", "sweeps.report"]
    done = warm.run(report, cwd=app.cwd, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    name = app.study().study_name
    assert done.stdout.split() == [f"report-{name}.{suffix}" for suffix in ("html", "md", "csv")]
    page = (app.cwd / f"report-{name}.html").read_text()
    assert "value against kimg" in page
    command = f"python {APP} C_ii=2 mode=report loss=symmetric h=0.1"
    assert f"<code>{command}</code>" in page

    started = app.started()
    again = [sys.executable, *shlex.split(command)[1:], "hydra.job.num=0"]  # which the app writes down
    warm.run(again, cwd=app.cwd, env=ENVIRONMENT, check=True)
    assert [line.split()[1:] for line in app.started()[len(started) :]] == [["0.1", "symmetric"]]

    alone = warm.run(
        [*report, "--csv", "--out", "t.html"], cwd=app.cwd, env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert (alone.stdout, (app.cwd / "t.html").exists()) == ("t.csv\n", False)
    assert (app.cwd / "t.csv").read_text() == (app.cwd / f"report-{name}.csv").read_text()

    wrong = warm.run([*report, "none"], cwd=app.cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert wrong.stderr == f"there is no study none in sqlite:///{app.cwd}/sweeps.db: those there are: {name}\n"
    unwritable = warm.run(
        [*report, "--out", "/nowhere/x.html"], cwd=app.cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert unwritable.returncode == 1
    assert unwritable.stderr.startswith("/nowhere/x.csv cannot be written (No such file or directory)")
