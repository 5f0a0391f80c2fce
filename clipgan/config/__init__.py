"""The typed configuration: YAML becomes these dataclasses once, at the door, and bad values are refused here.

Units: kimg = 1000 real images shown to the discriminator. `null` means what the field's comment says.
"""

from clipgan.config.adversarial import ADVERSARIAL_LOSSES, AdversarialConfig
from clipgan.config.augment import AUGMENTATIONS, AugmentConfig
from clipgan.config.condition import ConditionConfig
from clipgan.config.data import DATA_SETS, DataConfig
from clipgan.config.discriminator import GUIDE, DiscriminatorConfig
from clipgan.config.encoders import ClipConfig, ResNetConfig, TinyClipTraining, TinyResNetTraining
from clipgan.config.loss import (
    PAIRS,
    SPACES,
    LossConfig,
    SpaceTerms,
    SpaceWeights,
    Temperatures,
    TermConfig,
    ViewConfig,
)
from clipgan.config.measure_registry import (
    MEASURES,
    MOMENTS,
    NEEDS,
    OBJECTIVES,
    Need,
    direction_of,
    possible_objectives,
)
from clipgan.config.metrics import MetricsConfig
from clipgan.config.mlflow import MlflowConfig
from clipgan.config.model import LafiteConfig, ModelConfig
from clipgan.config.pairs import PAIR_SELECTIONS, ContrastConfig, PairsConfig
from clipgan.config.reading import flatten, from_record, from_yaml, plain, refuse_unread
from clipgan.config.simclr import SimclrConfig
from clipgan.config.training import MLFLOW_RUN, Config

__all__ = [
    "ADVERSARIAL_LOSSES",
    "AUGMENTATIONS",
    "DATA_SETS",
    "GUIDE",
    "MEASURES",
    "MLFLOW_RUN",
    "MOMENTS",
    "NEEDS",
    "OBJECTIVES",
    "PAIRS",
    "PAIR_SELECTIONS",
    "SPACES",
    "AdversarialConfig",
    "AugmentConfig",
    "ClipConfig",
    "ConditionConfig",
    "Config",
    "ContrastConfig",
    "DataConfig",
    "DiscriminatorConfig",
    "LafiteConfig",
    "LossConfig",
    "MetricsConfig",
    "MlflowConfig",
    "ModelConfig",
    "Need",
    "PairsConfig",
    "ResNetConfig",
    "SimclrConfig",
    "SpaceTerms",
    "SpaceWeights",
    "Temperatures",
    "TermConfig",
    "TinyClipTraining",
    "TinyResNetTraining",
    "ViewConfig",
    "direction_of",
    "flatten",
    "from_record",
    "from_yaml",
    "plain",
    "possible_objectives",
    "refuse_unread",
]
