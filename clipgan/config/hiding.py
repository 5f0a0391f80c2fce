"""Keep passwords out of what Hydra writes down: of the command line, and of a job's files."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from clipgan.base.errors import UserError
from clipgan.base.secrets import NAME, hidden, without_passwords


def hide_passwords(arguments: list[str]) -> None:
    """Move a tracking URI with a password from the command line to the environment, where the configuration finds it.

    Hydra writes the command line's overrides into the run directory.

    Raises:
        UserError: another argument holds a password; it is not shown.
    """
    for argument in list(arguments):
        key, _, value = argument.partition("=")
        uri = value[1:-1] if value[:1] in ("'", '"') and value[-1:] == value[:1] else value
        if key.lstrip("+") == "mlflow.tracking_uri" and without_passwords(uri) != uri:
            os.environ["MLFLOW_TRACKING_URI"] = uri
            arguments.remove(argument)
        elif without_passwords(argument) != argument or without_passwords(uri) != uri or _sets_secret(key, value):
            shown = "an argument" if "://" in key else f"{key}=..."
            raise UserError(
                f"{shown} holds a password, and the command line is written down with a run: leave it out, and give"
                " MLflow's address in the environment's MLFLOW_TRACKING_URI (or MLFLOW_TRACKING_USERNAME and"
                " MLFLOW_TRACKING_PASSWORD), and PostgreSQL's password in ~/.pgpass or PGPASSWORD"
            )


def _sets_secret(key: str, value: str) -> bool:
    """Whether an override sets an environment variable of a job (`hydra.job.env_set`) whose name says: a secret."""
    if ".env_set" not in key or "${" in value:
        return False
    return any(NAME.search(name) for name in (key, *re.findall(r"\w+(?=\W*:)", value)))


def hide_in_files(configs: Iterable[Any], folder: Path) -> None:
    """Hide the passwords in the files that Hydra has written of a job, if its configuration has one in a YAML file.

    Args:
        configs: the job's configuration, and Hydra's.
        folder: the job's `.hydra`.
    """
    from omegaconf import OmegaConf

    plain = [OmegaConf.to_container(config, resolve=False) for config in configs]
    if all(hidden(values) == values for values in plain):
        return
    for path in folder.glob("*.yaml"):
        written = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        OmegaConf.save(OmegaConf.create(hidden(written)), path)
