"""Objectives of the kinds that the examples of Hydra's own Optuna plug-in have."""

import hydra
from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="conf", config_name="sphere")
def main(config: DictConfig) -> float | tuple[float, float] | None:
    if "optimized_metric" in config:  # as in lightning-hydra-template
        return 1 / (1 + abs(config.model.lr - 0.01)) + config.data.batch_size / 1000
    if "fails" in config and config.fails and config.x == config.fails:
        raise ValueError("no")
    x, y = float(config.x), float(config.y)
    return (4 * x**2 + 4 * y**2, (x - 5) ** 2 + (y - 5) ** 2) if config.several else x**2 + y**2


if __name__ == "__main__":
    main()
