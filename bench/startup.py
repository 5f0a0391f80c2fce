"""Start-up of a trial: from the start of the process to the end of its first step, with warm caches.

    python -m bench.startup                # or: python -m bench.startup 9 cache_dir=DIR, for 9 launches of each kind

The real command is launched with MLflow in a SQLite database that exists, and without MLflow, by turns; the first
launch of each counts for nothing. A new training computes its first FID before its first step: it is listed apart. Then
the imports of a training by package, from `python -X importtime`, which makes them slower. Beside other work, seconds
of CPU tell more than those by the clock. Everything goes to runs/bench/startup.json.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.table import Table

from bench.machine import machine
from clipgan.base.console import console

LAUNCHES = 5
IMPORTS = "import hydra, clipgan.tasks.gan.training, mlflow"
FIGURES = ("first FID and pictures", "first checkpoint")  # are no start-up
SHOWN = 12  # packages

Seconds = dict[str, tuple[float, float]]  # of each part: by the clock, of CPU


def main() -> None:
    """Launch, print both tables."""
    arguments = sys.argv[1:]
    count = int(arguments.pop(0)) if arguments and arguments[0].isdigit() else LAUNCHES
    with tempfile.TemporaryDirectory() as folder:
        uris = {"MLflow in SQLite": f"sqlite:///{folder}/mlflow.db", "no MLflow": "null"}
        runs: dict[str, list[Seconds]] = {name: [] for name in uris}
        for _ in range(1 + count):
            for name, uri in uris.items():
                runs[name].append(launch(uri, arguments))
    runs = {name: each[1:] for name, each in runs.items()}  # the first one makes the database
    console.print(_parts(runs))
    packages = imports()
    table = Table("package", "seconds to import (with -X importtime)")
    for name, seconds in packages.items():
        table.add_row(name, f"{seconds:.2f}")
    console.print(table)
    out = Path("runs/bench/startup.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    results = {"machine": machine(), "overrides": arguments, "seconds": runs, "imports": packages}
    out.write_text(json.dumps(results, indent=1))
    console.print(f"written: {out}")


def launch(uri: str, overrides: list[str]) -> Seconds:
    """What each part of one start takes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "seconds.json")
        own = ["kimg=1", f"hydra.run.dir={folder}/run", f"mlflow.tracking_uri={uri}"]
        command = [sys.executable, "-m", "bench.first_step", repr(time.time()), str(file), *own, *overrides]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        seconds: Seconds = json.loads(file.read_text())
    return seconds


def _parts(runs: dict[str, list[Seconds]]) -> Table:
    """Medians of the parts and of the sums, and the least sum by the clock."""
    table = Table("start of the process to the end of its first step")
    for name in runs:
        table.add_column(f"{name}: s")
        table.add_column("of CPU")
    for part in next(iter(runs.values()))[0]:
        cells = [statistics.median(each[part][kind] for each in kinds) for kinds in runs.values() for kind in (0, 1)]
        table.add_row(part, *(f"{cell:.2f}" for cell in cells))
    table.add_section()
    for title, left_out in (("in all", ()), ("without the first FID, its pictures and checkpoint", FIGURES)):
        row = []
        for kinds in runs.values():
            walls, cpus = (
                [sum(value[kind] for part, value in each.items() if part not in left_out) for each in kinds]
                for kind in (0, 1)
            )
            row += [f"{statistics.median(walls):.2f} (least {min(walls):.2f})", f"{statistics.median(cpus):.2f}"]
        table.add_row(title, *row)
    return table


def imports() -> dict[str, float]:
    """Seconds that the packages of a training take to import, each without what it imports itself."""
    command = [sys.executable, "-X", "importtime", "-c", IMPORTS]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()
    seconds: Counter[str] = Counter()
    for line in lines[1:]:
        own, _, name = line.removeprefix("import time:").split("|")
        package = name.strip().partition(".")[0]
        seconds["torch._dynamo" if name.strip().startswith("torch._dynamo") else package] += float(own)
    return {name: round(own / 1e6, 3) for name, own in seconds.most_common(SHOWN)}


if __name__ == "__main__":
    main()
