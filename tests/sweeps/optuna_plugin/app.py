"""Objectives of the kinds that the examples of Hydra's own Optuna plug-in have."""

import hydra
from omegaconf import DictConfig
from optuna.trial import Trial


def configure(config: DictConfig, trial: Trial) -> None:
    """Like the example of a custom search space there: the range of z depends on x."""
    x = trial.params["x"]
    trial.suggest_float("z", x - config.max_z_difference_from_x, x + config.max_z_difference_from_x)
    trial.suggest_float("+w", 0.0, 1.0)


def further(config: DictConfig, trial: Trial) -> None:
    configure(config, trial)
    trial.suggest_float("+v", 0.1, 10.0, log=True)


def elsewhere(config: DictConfig, trial: Trial) -> None:
    trial.suggest_float("z", 100.0, 101.0)


def too_late(config: DictConfig, trial: Trial) -> None:
    if trial.params["y"] == 5:
        raise RuntimeError("not for 5")


@hydra.main(version_base="1.3", config_path="conf", config_name="sphere")
def main(config: DictConfig) -> float | tuple[float, float] | None:
    if "optimized_metric" in config:  # as in lightning-hydra-template
        return 1 / (1 + abs(config.model.lr - 0.01)) + config.data.batch_size / 1000
    if "fails" in config and config.fails and config.x == config.fails:
        raise ValueError("no")
    x, y = float(config.x), float(config.y)
    if "z" in config:
        return x**2 + y**2 + config.z**2 + config.get("w", 0.0)
    return (4 * x**2 + 4 * y**2, (x - 5) ** 2 + (y - 5) ** 2) if config.several else x**2 + y**2


if __name__ == "__main__":
    main()
