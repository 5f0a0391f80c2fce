"""The generator as an MLflow model, for `mlflow models serve` and `mlflow.pyfunc.load_model`.

The model holds data and no code: the generator's weights (safetensors), the run's configuration, and the CLIP's weights
if the CLIP was trained on the data set, since nobody publishes these. Other CLIPs are loaded as the configuration says.
MLflow loads the model by calling `_load_pyfunc` here, so the server needs an installed clipgan.
"""

import base64
import io
import json
import os
import shutil
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch

from clipgan.base.device import choose_device
from clipgan.base.errors import UserError
from clipgan.base.pictures import to_picture
from clipgan.config import Config, plain
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.inputs.encoders.weights import write_weights
from clipgan.models.networks.generator import TextToImage
from clipgan.sampling.options import check_prompt, parse_truncation
from clipgan.sampling.sampler import Sampler, open_sampler
from clipgan.sampling.source import from_model
from clipgan.tracking.mlflow_files import MODEL_NAME

REQUIREMENTS = ("torch", "torchvision", "open_clip_torch", "numpy", "pillow", "omegaconf", "mlflow")
TRUNCATION = "truncation"
MAX_ROWS = 64  # of a request: others wait meanwhile
FEW_ROWS = 8  # a request with at most so many is a small one
IN_WORK = 4  # requests at a time, one of which is small; a server has at least 5 threads, so one is free to answer
SERVER_LIMIT = "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT"  # seconds; `mlflow models serve` sets it for its process


class ServedGenerator:
    """The object that MLflow calls: it takes prompts and seeds and returns pictures.

    A server does not tell that a client has left, and goes on with its request. So that such requests hold up nobody
    for long, few requests are in work at a time, the others are refused at once, and each has a time limit.
    """

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self._in_work = 0
        self._lock = threading.Lock()

    def predict(self, rows: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Generate a picture for each row.

        Args:
            rows: columns `prompt` (text) and `seed` (whole numbers from 0); at most `MAX_ROWS`.
            params: `truncation`, 0 to 1; default 1.

        Returns:
            A column `image` of PNGs in base64, one for each row. `python -m clipgan.sample` gives the same picture
            for the same prompt and seed.

        Raises:
            MlflowException: a prompt, a seed, the truncation or the number of rows is not allowed (a server answers
                with status 400); enough requests are in work (503); the server's time limit has passed (504).
        """
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

        try:
            if len(rows) > MAX_ROWS:
                raise UserError(f"{len(rows)} rows are not allowed: a request may have at most {MAX_ROWS}")
            truncation = parse_truncation(TRUNCATION, str((params or {}).get(TRUNCATION, 1.0)))
            prompts = [_prompt(prompt) for prompt in rows["prompt"]]
            pairs = list(zip(prompts, map(_seed, rows["seed"]), strict=True))
        except UserError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error
        with self._work(len(rows)):
            return pd.DataFrame({"image": self._draw(pairs, truncation)})

    def _draw(self, pairs: list[tuple[str, int]], truncation: float) -> list[str]:
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import DEADLINE_EXCEEDED

        limit = os.environ.get(SERVER_LIMIT, "inf")
        end = time.monotonic() + float(limit)
        conditions: dict[str, torch.Tensor] = {}
        images: list[str] = []
        for prompt, seed in pairs:
            if time.monotonic() > end:
                raise MlflowException(
                    f"the server's time limit of {limit} s has passed after {len(images)} of {len(pairs)} pictures: "
                    f"ask for fewer rows at a time, or start it with a longer --timeout",
                    error_code=DEADLINE_EXCEEDED,
                )
            if prompt not in conditions:
                conditions[prompt] = self.sampler.condition(prompt)
            images.append(_png(self.sampler.image(conditions[prompt], seed, truncation)))
        return images

    @contextmanager
    def _work(self, rows: int) -> Iterator[None]:
        """Take part in the work, or refuse: the last place is for a small request."""
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

        with self._lock:
            if self._in_work >= (IN_WORK if rows <= FEW_ROWS else IN_WORK - 1):
                raise MlflowException(
                    f"busy: {self._in_work} requests are in work; ask again in some seconds. Each ends within "
                    f"{os.environ.get(SERVER_LIMIT, 'inf')} s, and a request of at most {FEW_ROWS} rows gets in first",
                    error_code=TEMPORARILY_UNAVAILABLE,
                )
            self._in_work += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_work -= 1


def _prompt(text: Any) -> str:
    if not isinstance(text, str):
        raise UserError(f"prompt={text} is not allowed: a prompt must be a text")
    return check_prompt("prompt", text)


def _seed(number: Any) -> int:
    """Check a seed. A request with one fraction has floats only, which are exact up to 2^53."""
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not whole and isinstance(number, float | np.floating):
        whole = float(number).is_integer() and float(number) <= 2**53
    if not whole or number < 0:
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
    from mlflow.types.schema import AnyType
    from omegaconf import OmegaConf

    # a seed of any type: MLflow would cut 1.5 to a whole number in silence, and `_seed` refuses it
    signature = ModelSignature(
        inputs=Schema([ColSpec("string", "prompt"), ColSpec(AnyType(), "seed")]),
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
