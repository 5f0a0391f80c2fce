"""A Hydra app that knows nothing of clipgan's sweeper; it also prints parts of Hydra that a plug-in could change."""

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config: DictConfig) -> int:
    print(OmegaConf.to_yaml(config))
    print("groups:", sorted(ConfigStore.instance().repo))
    print("store:", sorted(vars(ConfigStore)))
    return int(config.x) * int(config.db.size)


if __name__ == "__main__":
    main()
