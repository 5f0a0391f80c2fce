"""A task without work: it writes its start and end time, and sleeps if its config says so. It imports only Hydra."""

import os
import time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path=".", config_name="trivial")
def main(config: DictConfig) -> float:
    """Sleep `long` or `short` seconds in turns; the objective is x."""
    start = time.time()
    time.sleep(config.short if HydraConfig.get().job.num % 2 else config.long)
    with Path(config.log).open("a") as file:
        file.write(f"{start} {time.time()} {os.getpid()}\n")
    return float(config.x)


if __name__ == "__main__":
    main()
