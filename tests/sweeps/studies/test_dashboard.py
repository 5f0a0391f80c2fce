"""optuna-dashboard, in a real browser, shows a study and the pictures of its trials."""

import os
import shutil
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from sweeps.studies.dashboard import attach_pictures
from tests import warm
from tests.sweeps.report.studies import Studies, add

pytest.importorskip("optuna_dashboard", reason="pip install optuna-dashboard")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SERVE = "from optuna_dashboard._cli import main; main()"


@contextmanager
def serving(url: str, folder: Path) -> Iterator[str]:
    """The dashboard on loopback and a free port; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [url, "--artifact-dir", os.fspath(folder), "--host", "127.0.0.1", "--port", str(port)]
    server = warm.Popen([sys.executable, "-c", SERVE, *arguments])
    try:
        address = f"http://127.0.0.1:{port}/dashboard"
        while True:
            try:
                urllib.request.urlopen(address, timeout=60).close()
                break
            except OSError:
                assert server.poll() is None
                time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)")
def test_a_trial_is_shown_with_its_newest_picture(studies: Studies, tmp_path: Path) -> None:
    run_dir, artifacts = tmp_path / "0", tmp_path / "artifacts"
    run_dir.mkdir()
    for kimg, size in ((1, (10, 20)), (2, (30, 40))):
        Image.new("RGB", size, "red").save(run_dir / f"samples-{kimg}.png")
        os.utime(run_dir / f"samples-{kimg}.png", (kimg, kimg))
    add(studies.make("h-1"), {"h": 0.5}, [20.0], run_dir=str(run_dir))
    attach_pictures(studies.url, "h-1", artifacts, "samples-*.png")
    with serving(studies.url, artifacts) as address, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.goto(f"{address}/studies/1/trials?numbers=0")
        page.get_by_text("samples-2.png").wait_for()
        page.wait_for_function("() => [...document.images].some(one => one.naturalWidth > 0)")
        [size] = page.locator("img").evaluate_all("all => all.map(one => [one.naturalWidth, one.naturalHeight])")
        browser.close()
    assert size == [30, 40]
