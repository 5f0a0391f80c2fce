"""`discriminator`: a StyleGAN2 discriminator, or heads on the layers of a frozen network."""

from dataclasses import dataclass

from clipgan.config.checks import at_least, one_of, require
from clipgan.config.encoders import PRECISIONS

DISCRIMINATORS = ("stylegan2", "projected")
GUIDE = "clip"  # discriminator.network: the CLIP that guides the training


@dataclass
class DiscriminatorConfig:
    """The architecture of D. Its learning rate, R1 and text width are fields of `model`."""

    name: str = "stylegan2"  # stylegan2 (with model=lafite: LAFITE's) | projected
    network: str | None = None  # projected: the frozen network: clip (the guiding CLIP's image tower) | a timm model
    checkpoint: str | None = None  # projected: a weights file in place of the download, for a timm model
    precision: str = (
        "auto"  # projected: precision of a timm model, as clip.precision: auto | float32 | mixed | bfloat16
    )
    layers: list[int] | None = None  # projected: numbers of the network's layers, from 0; null: four, evenly spread
    width: int | None = None  # projected: channels of a head

    def __post_init__(self) -> None:
        one_of("discriminator.name", self.name, DISCRIMINATORS)
        one_of("discriminator.precision", self.precision, PRECISIONS)
        if self.name != "projected":
            for key in ("network", "checkpoint", "layers", "width"):
                value = getattr(self, key)
                require(value is None, f"discriminator.{key}", value, f"null for discriminator={self.name}")
            require(self.precision == "auto", "discriminator.precision", self.precision,
                     f"auto for discriminator={self.name}")  # fmt: skip
            return
        require(bool(self.network), "discriminator.network", self.network, f"{GUIDE} or the name of a timm model")
        if self.network == GUIDE:
            require(self.checkpoint is None, "discriminator.checkpoint", self.checkpoint,
                     f"null for discriminator.network={GUIDE}, whose weights clip.checkpoint gives")  # fmt: skip
            require(self.precision == "auto", "discriminator.precision", self.precision,
                     f"auto for discriminator.network={GUIDE}, whose precision is clip.precision")  # fmt: skip
        if self.layers is not None:
            rising = self.layers == sorted(set(self.layers)) and self.layers and self.layers[0] >= 0
            require(bool(rising), "discriminator.layers", self.layers, "rising numbers from 0 on, such as [2,5,8,11]")
        require(self.width is not None, "discriminator.width", self.width, "an integer >= 1")
        at_least("discriminator.width", self.width or 0, 1)
