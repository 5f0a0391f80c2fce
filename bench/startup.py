"""Start-up of a trial: from the start of the process to its first step, with warm caches.

    python -m bench.startup                # overrides as for train.py, such as cache_dir=DIR

The real command is launched some times and stopped at its first record, whose time and `snapshot_seconds` (the first
FID, which is no start-up) are all that is read of it. Then the imports of a training by package, from
`python -X importtime`, which makes them slower. Everything goes to runs/bench/startup.json.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.machine import machine
from clipgan.progress import console

LAUNCHES = 2
IMPORTS = "import hydra, clipgan.training.loop, mlflow"
TRACKING = {"MLflow in SQLite": "sqlite:///{folder}/mlflow.db", "no MLflow": "null"}
SHOWN = 12  # packages


def main() -> None:
    """Launch, print both tables."""
    results: dict[str, Any] = {"machine": machine(), "overrides": sys.argv[1:], "seconds": {}, "imports": imports()}
    table = Table("start to first step, s", "median", "least", "first FID")
    for name, uri in TRACKING.items():
        with tempfile.TemporaryDirectory() as folder:
            address = uri.format(folder=folder)
            runs = [launch(address) for _ in range(LAUNCHES + 1)][1:]  # the first one makes the database
        starts = [start for start, _ in runs]
        results["seconds"][name] = starts
        fid = statistics.median(snapshot for _, snapshot in runs)
        table.add_row(name, f"{statistics.median(starts):.2f}", f"{min(starts):.2f}", f"{fid:.2f}")
    console.print(table)
    table = Table("package", "seconds to import (with -X importtime)")
    for name, seconds in results["imports"].items():
        table.add_row(name, f"{seconds:.2f}")
    console.print(table)
    out = Path("runs/bench/startup.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=1))
    console.print(f"written: {out}")


def launch(uri: str) -> tuple[float, float]:
    """Seconds from the start of a training to its first step without the snapshot, and those of the snapshot."""
    with tempfile.TemporaryDirectory() as folder:
        own = ["kimg=1", f"hydra.run.dir={folder}/run", f"mlflow.tracking_uri={uri}"]
        record = Path(folder, "run", "metrics.jsonl")
        start = time.time()
        with subprocess.Popen([sys.executable, "train.py", *own, *sys.argv[1:]], stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and not (record.exists() and record.read_text().endswith("\n")):
                time.sleep(0.01)
            process.kill()
        first = json.loads(record.read_text().splitlines()[0])
    return first["time"] - start - first["snapshot_seconds"], first["snapshot_seconds"]


def imports() -> dict[str, float]:
    """Seconds that the packages of a training take to import, each without what it imports itself."""
    command = [sys.executable, "-X", "importtime", "-c", IMPORTS]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()
    seconds: Counter[str] = Counter()
    for line in lines[1:]:
        own, _, name = line.removeprefix("import time:").split("|")
        package = name.strip().partition(".")[0]
        dynamo = name.strip().startswith("torch._dynamo")
        seconds["torch._dynamo" if dynamo else package] += float(own)
    return {name: round(own / 1e6, 3) for name, own in seconds.most_common(SHOWN)}


if __name__ == "__main__":
    main()
