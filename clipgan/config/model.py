"""`model`: generator and discriminator."""

from dataclasses import dataclass

from clipgan.config.checks import at_least, positive, require, weight


@dataclass
class LafiteConfig:
    """What LAFITE's published networks have beside StyleGAN2's widths."""

    conv_clamp: float = 256.0  # activations are cut to +- this
    joined_to: int = 256  # up to this resolution a style is a layer of [text, w]; above it text scales and shifts A w
    unit_features: bool = False  # whether D's semantic feature has unit length before the text multiplies it

    def __post_init__(self) -> None:
        require(self.conv_clamp > 0, "model.lafite.conv_clamp", self.conv_clamp, "a number > 0, or inf")


@dataclass
class ModelConfig:
    """Generator, discriminator and their optimisation, in StyleGAN2's terms."""

    name: str = "tiny"
    lafite: LafiteConfig | None = None  # the architecture of LAFITE; null: this project's own
    z_dim: int = 128
    w_dim: int = 128
    text_dim: int = 128  # width of the text condition inside G's styles and D's projection
    mapping_layers: int = 4
    channel_base: int = 1024  # channels at resolution r: min(channel_base / r, channel_max)
    channel_max: int = 64
    channel_multiplier: float = 1.0  # capacity: of the channels at each resolution, rounded
    mapping_multiplier: float = 1.0  # capacity: of mapping_layers, rounded
    multi_scale: bool = False  # MSG-GAN (arXiv:1903.06048): D sees G's RGB at every resolution; not with lafite
    mbstd_group: int = 4  # minibatch-stddev group size
    g_lr: float = 2e-3
    d_lr: float = 2e-3
    r1_gamma: float = 1.0
    r1_interval: int = 16  # steps between lazy R1
    pl_weight: float = 2.0  # path-length regularisation; 0: off
    pl_interval: int = 4
    style_mixing: float = 0.9  # probability
    ema_kimg: float = 5.0  # half-life of G's moving average
    ema_rampup: float = 0.05  # half-life is at most this fraction of the kimg so far; not with init

    def __post_init__(self) -> None:
        for key in ("z_dim", "w_dim", "text_dim", "mapping_layers", "channel_base", "channel_max", "mbstd_group",
                    "r1_interval", "pl_interval"):  # fmt: skip
            at_least(f"model.{key}", getattr(self, key), 1)
        for key in ("g_lr", "d_lr", "ema_kimg", "channel_multiplier", "mapping_multiplier"):
            positive(f"model.{key}", getattr(self, key))
        for key in ("r1_gamma", "pl_weight", "ema_rampup"):
            weight(f"model.{key}", getattr(self, key))
        require(0 <= self.style_mixing <= 1, "model.style_mixing", self.style_mixing, "between 0 and 1")
        require(self.lafite is None or not self.multi_scale, "model.multi_scale", self.multi_scale,
                 "false with LAFITE's networks (model.lafite)")  # fmt: skip
