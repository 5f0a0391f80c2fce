"""Where a figure comes from."""

import os
import platform
import time
from pathlib import Path
from typing import Any

import psutil


def machine() -> dict[str, Any]:
    """The machine, as every file under runs/bench describes it."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "system": platform.platform(),
        "when": time.strftime("%Y-%m-%d %H:%M"),
    }
