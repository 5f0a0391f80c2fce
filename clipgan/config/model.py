"""`model`: generator and discriminator."""

from dataclasses import dataclass

from clipgan.config.checks import at_least, one_of, positive, require, share, weight


@dataclass
class LafiteConfig:
    """What LAFITE's published networks have beside StyleGAN2's widths."""

    conv_clamp: float = 256.0  # bound of the activations, positive and negative
    joined_to: int = 256  # up to this resolution a style is a layer of [text, w]; above it text scales and shifts A w
    text_logit: str = "batch"  # text's part of D's logits, a sum over: batch | process (images of one GPU, as LAFITE)
    contrast: str = "batch"  # images that contrast with each other: batch | process (of one GPU, as in LAFITE)
    unit_features: bool = False  # whether D's semantic feature has unit length before the text multiplies it

    def __post_init__(self) -> None:
        one_of("model.lafite.text_logit", self.text_logit, ("batch", "process"))
        one_of("model.lafite.contrast", self.contrast, ("batch", "process"))
        require(self.conv_clamp > 0, "model.lafite.conv_clamp", self.conv_clamp, "a number > 0, or inf")


@dataclass
class ModelConfig:
    """Generator, discriminator and their optimisation, in StyleGAN2's terms."""

    name: str = "tiny"  # name of the model
    lafite: LafiteConfig | None = None  # LAFITE's architecture; null: this project's own
    z_dim: int = 128  # width of a latent
    w_dim: int = 128  # width of a style
    text_dim: int = 128  # width of the text condition in G's styles and D's projection
    mapping_layers: int = 4  # depth of the mapping network
    channel_base: int = 1024  # channels at resolution r: min(channel_base / r, channel_max)
    channel_max: int = 64  # most channels at any resolution
    channel_multiplier: float = 1.0  # capacity: factor of the channels at each resolution, rounded
    mapping_multiplier: float = 1.0  # capacity: factor of mapping_layers, rounded
    spatial_seed: bool = False  # true: G's 4 x 4 start has a linear map of its first style added; not with lafite
    multi_scale: bool = False  # MSG-GAN (arXiv:1903.06048): D sees G's RGB at every resolution; not with lafite
    mbstd_group: int = 4  # minibatch-stddev group size
    g_lr: float = 2e-3  # learning rate of G
    d_lr: float = 2e-3  # learning rate of D
    r1_gamma: float = 1.0  # weight of R1; 0: off
    r1_interval: int = 16  # steps from one R1 to the next
    pl_weight: float = 2.0  # weight of path-length regularisation; 0: off
    pl_interval: int = 4  # steps from one path-length regularisation to the next
    style_mixing: float = 0.9  # probability of style mixing
    ema_kimg: float = 5.0  # half-life of G's moving average, in kimg
    ema_rampup: float = 0.05  # the half-life is at most this share of the kimg so far; without effect with init

    def __post_init__(self) -> None:
        for key in ("z_dim", "w_dim", "text_dim", "mapping_layers", "channel_base", "channel_max", "mbstd_group",
                    "r1_interval", "pl_interval"):  # fmt: skip
            at_least(f"model.{key}", getattr(self, key), 1)
        for key in ("g_lr", "d_lr", "ema_kimg", "channel_multiplier", "mapping_multiplier"):
            positive(f"model.{key}", getattr(self, key))
        for key in ("r1_gamma", "pl_weight", "ema_rampup"):
            weight(f"model.{key}", getattr(self, key))
        share("model.style_mixing", self.style_mixing)
        require(self.lafite is None or not self.spatial_seed, "model.spatial_seed", self.spatial_seed,
                "false with LAFITE's networks (model.lafite)")  # fmt: skip
        require(self.lafite is None or not self.multi_scale, "model.multi_scale", self.multi_scale,
                 "false with LAFITE's networks (model.lafite)")  # fmt: skip
