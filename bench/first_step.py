"""One training that ends after its first step and writes down what each part of its start took; for bench/startup.py.

python -m bench.first_step STARTED FILE [OVERRIDE ...]
"""

import json
import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

import clipgan.config
from clipgan.tracking.run_log import RunLog


class Laps:
    """Seconds from one event to the next, by the clock and of CPU: what is measured adds up to the whole start."""

    def __init__(self, started: float, file: Path) -> None:
        """
        Args:
            started: when the process was started, as `time.time()` counts.
            file: gets part: [seconds by the clock, of CPU over all threads].
        """
        self.last, self.file = (started, 0.0), file
        self.seconds: dict[str, tuple[float, float]] = {}

    def end(self, part: str) -> None:
        """What has gone on since the last event was `part`."""
        now = time.time(), time.process_time()
        wall, cpu = self.seconds.get(part, (0.0, 0.0))
        self.seconds[part] = wall + now[0] - self.last[0], cpu + now[1] - self.last[1]
        self.last = now

    def around(self, owner: Any, name: str, after: str, before: str | None = None) -> None:
        """Let a function's return, and its call, be such events."""
        function = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            if before is not None:
                self.end(before)
            result = function(*args, **kwargs)
            self.end(after)
            return result

        setattr(owner, name, timed)

    def follow(self, loop: Any) -> None:
        """Divide a training, of the module `clipgan.tasks.gan.training`, into parts."""
        self.around(loop, "prepare", "prepare, from a warm cache")
        self.around(loop.Training, "__init__", "networks")
        self.around(RunLog, "__init__", "opening the record")
        self.around(RunLog, "metrics", "the first record", "first FID and pictures")
        self.around(loop.Training, "_snapshot", "first checkpoint")
        step = loop.Training.step

        def last(*args: Any) -> None:
            step(*args)
            self.end("first step")
            self.file.write_text(json.dumps(self.seconds))
            os._exit(0)

        loop.Training.step = last


def main() -> None:
    """Train as train.py does."""
    started, file, *overrides = sys.argv[1:]
    laps = Laps(float(started), Path(file))
    laps.around(HydraConfig, "set_config", "interpreter and Hydra")  # the last that it does before the task
    read = clipgan.config.from_yaml

    def from_yaml(node: Any) -> clipgan.config.Config:
        from clipgan.tasks.gan import training as loop

        laps.end("imports")
        laps.follow(loop)
        return read(node)

    clipgan.config.from_yaml = from_yaml
    sys.argv = ["train.py", *overrides]
    runpy.run_path("train.py", run_name="__main__")


if __name__ == "__main__":
    main()
