"""The generator as an MLflow model, for `mlflow models serve` and `mlflow.pyfunc.load_model`.

The model holds data and no code: the generator's weights (safetensors), the run's configuration, and the CLIP's weights
if the CLIP was trained on the data set, since nobody publishes these. Other CLIPs are loaded as the configuration says.
MLflow loads the model by calling `_load_pyfunc` here, so the server needs an installed clipgan.
"""

import base64
import io
import json
import shutil
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import torch

from clipgan.base.device import choose_device
from clipgan.base.errors import UserError
from clipgan.base.pictures import to_picture
from clipgan.config import Config, plain
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.inputs.encoders.weights import write_weights
from clipgan.models.networks.generator import TextToImage
from clipgan.sampling.options import parse_truncation
from clipgan.sampling.sampler import Sampler, open_sampler
from clipgan.sampling.source import from_model
from clipgan.tracking.mlflow_run import MODEL_NAME

REQUIREMENTS = ("torch", "torchvision", "open_clip_torch", "numpy", "pillow", "omegaconf", "mlflow")
TRUNCATION = "truncation"


class ServedGenerator:
    """The object that MLflow calls: it takes prompts and seeds and returns pictures."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler

    def predict(self, rows: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Generate a picture for each row.

        Args:
            rows: columns `prompt` (text) and `seed` (whole numbers from 0).
            params: `truncation`, 0 to 1; default 1.

        Returns:
            A column `image` of PNGs in base64, one for each row. `python -m clipgan.sample` gives the same picture
            for the same prompt and seed.

        Raises:
            MlflowException: a seed or the truncation is not allowed; a server answers with status 400.
        """
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

        try:
            truncation = parse_truncation(TRUNCATION, str((params or {}).get(TRUNCATION, 1.0)))
            pairs = [(str(prompt), _seed(seed)) for prompt, seed in zip(rows["prompt"], rows["seed"], strict=True)]
        except UserError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error
        conditions = {prompt: self.sampler.condition(prompt) for prompt, _ in pairs}
        images = [self.sampler.image(conditions[prompt], seed, truncation) for prompt, seed in pairs]
        return pd.DataFrame({"image": [_png(image) for image in images]})


def _seed(number: Any) -> int:
    if number < 0:
        raise UserError(f"seed={number} is not allowed: seed must be a whole number from 0")
    return int(number)


def _png(image: torch.Tensor) -> str:
    file = io.BytesIO()
    to_picture(image).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def _load_pyfunc(path: str) -> ServedGenerator:
    """Load the model; MLflow calls this function of its loader module."""
    return ServedGenerator(open_sampler(from_model(Path(path), MODEL_NAME), choose_device("auto")))


def write(folder: Path, config: Config, generator: TextToImage, clip: FrozenClip) -> None:
    """Write an MLflow model to `folder`, which must not exist yet.

    Args:
        folder: the folder of the model.
        config: the run's configuration.
        generator: the moving average of the run's generator.
        clip: the guiding CLIP, whose text tower encodes prompts.
    """
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
    from omegaconf import OmegaConf

    signature = ModelSignature(
        inputs=Schema([ColSpec("string", "prompt"), ColSpec("long", "seed")]),
        outputs=Schema([ColSpec("string", "image")]),
        params=ParamSchema([ParamSpec(TRUNCATION, "double", 1.0)]),
    )
    with TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # MLflow wants an input example, which would load the model
        data = Path(temporary) / MODEL_NAME
        data.mkdir()
        write_weights(data / "generator.safetensors", generator.state_dict())
        OmegaConf.save(OmegaConf.create(plain(config)), data / "config.yaml")
        (data / "clip.json").write_text(json.dumps(clip.record(), indent=2) + "\n")
        if config.clip.train is not None and config.clip.checkpoint is None:
            assert clip.file is not None
            shutil.copy(clip.file, data / "clip.safetensors")
        mlflow.pyfunc.save_model(
            folder,
            loader_module=__name__,
            data_path=data,
            signature=signature,
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in REQUIREMENTS],
        )
