"""train.py, which also writes when its first step and its step 100 have ended: `times.json` in the run directory."""

import json
import os
import time
from typing import Any

STEPS = (1, 100)


def main() -> None:
    """Watch the steps of the training that the command line names."""
    imported = time.time()
    from clipgan.main import main as train
    from clipgan.tasks.gan.training import Training

    step, times = Training.step, {}

    def watched(training: Training, number: int) -> dict[str, Any]:
        values = step(training, number)
        if number + 1 in STEPS:
            float(next(iter(values.values())))  # waits for the GPU
            times[f"step {number + 1}"] = time.time() - float(os.environ["STARTED"])
            (training.run_dir / "times.json").write_text(json.dumps(times))
        return values

    times["Python"] = imported - float(os.environ["STARTED"])
    Training.step = watched  # type: ignore[method-assign,assignment]
    train()


if __name__ == "__main__":
    main()
