"""train.py, which also writes when each stage of its start, its first step and its step 100 have ended.

It writes seconds since the command's start into `times.json` in the run directory, and ends after step 100.
"""

import functools
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

STEPS = (1, 100)


def main() -> None:
    """Watch the stages of the training that the command line names."""
    times: dict[str, float] = {}

    def mark(stage: str) -> None:
        times.setdefault(stage, time.time() - float(os.environ["STARTED"]))

    mark("Python")
    from clipgan.main import main as train
    from clipgan.tasks.gan.training import Training

    mark("imports")

    def before(stage: str, method: str) -> None:
        original: Callable[..., Any] = getattr(Training, method)

        @functools.wraps(original)
        def watched(training: Training, *arguments: Any) -> Any:
            mark(stage)
            return original(training, *arguments)

        setattr(Training, method, watched)

    before("data and encoders", "__init__")
    before("networks", "measure")
    step = Training.step

    def watched_step(training: Training, number: int) -> dict[str, Any]:
        mark("first snapshot")
        values = step(training, number)
        if number + 1 in STEPS:
            float(next(iter(values.values())))  # waits for the GPU
            mark(f"step {number + 1}")
            (training.run_dir / "times.json").write_text(json.dumps(times))
            if number + 1 == STEPS[-1]:
                sys.exit()
        return values

    Training.step = watched_step  # type: ignore[method-assign,assignment]
    train()


if __name__ == "__main__":
    main()
