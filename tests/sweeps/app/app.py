"""A task to sweep with: its objective is (h - 0.5)^2 plus the offset of the loss group, and noise of the seed."""

import math
import time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from sweeps.trial import current_trial


class DivergenceError(ArithmeticError):
    pass


def note(config: DictConfig) -> None:
    """One line for each time that a job starts."""
    with Path("started.log").open("a") as file:
        file.write(f"{HydraConfig.get().job.num} {config.h} {config.loss.name}\n")


def misbehave(config: DictConfig) -> None:
    if config.mode == "raise":
        raise DivergenceError(f"loss is nan at h={config.h}")
    if config.mode == "exit":
        raise SystemExit(3)
    if config.mode == "hang":
        Path("hanging").touch()
        while not Path("go").exists():
            time.sleep(0.02)


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> object:
    note(config)
    value = (config.h - 0.5) ** 2 + config.loss.offset + config.noise * math.sin(config.seed)
    bad = config.only_at is None or config.only_at == config.h
    trial = current_trial()
    if config.mode == "report" and trial is not None:
        for step in (1, 2):
            trial.report(value + 10 / step, step)
        trial.set("sec_per_kimg", 1.5)
        Path(HydraConfig.get().runtime.output_dir, "parent.txt").write_text(str(trial.parent_run_id))
    if config.mode == "curve" and trial is not None:
        trial.set("sec_per_step", 0.5 * config.C_it)
        for step in range(config.steps + 1):
            if trial.report(value + 10 / (step + 1), step) and step < config.steps:
                trial.end_as_pruned()
    if bad:
        misbehave(config)
        if config.mode in ("not_a_number", "text"):
            return math.nan if config.mode == "not_a_number" else "good"
    return float(value)


if __name__ == "__main__":
    main()
