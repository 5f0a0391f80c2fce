"""`data`: the captioned images."""

from dataclasses import dataclass

from clipgan.config.checks import at_least, one_of, require, text_encoding

DATA_SETS = ("shapes", "emoji", "folder", "metadata", "coco", "cub", "celeba_hq", "webdataset", "lafite_zip",
             "imagefolder", "cifar10", "cifar100")  # fmt: skip


@dataclass
class DataConfig:
    """The captioned images."""

    name: str = "shapes"  # name of the format
    path: str | None = None  # folder or file of the data; null: shapes draws its images, emoji is fetched by npm
    heldout_path: str | None = None  # held-out images in the same format; null: the format's own split, or a random one
    # shapes and emoji have none; emoji's `path` is its npm package emoji-datasource-google, packed or unpacked.
    caption_column: str = "text"  # metadata: the column of the captions
    encoding: str = "utf-8"  # of texts without a byte order mark: utf-8, utf-16-le, cp1252, gb18030, shift_jis, ...
    n_train: int = 20000  # shapes: training images
    n_heldout: int = 2000  # shapes: held-out images
    heldout_fraction: float = 0.1  # share of the images that a random split holds out
    seed: int = 0  # seed of the drawn shapes, and of a random split
    fid_split: str = "heldout"  # split whose images are FID's real ones and whose captions its prompts: train | heldout
    x_flip: bool = True  # mirror half of the images; off where captions say left and right

    def __post_init__(self) -> None:
        one_of("data.name", self.name, DATA_SETS)
        text_encoding("data.encoding", self.encoding)
        at_least("data.n_train", self.n_train, 2)
        at_least("data.n_heldout", self.n_heldout, 2)
        require(0 < self.heldout_fraction < 1, "data.heldout_fraction", self.heldout_fraction, "above 0 and below 1")
        one_of("data.fid_split", self.fid_split, ("train", "heldout"))
        require(self.name in ("shapes", "emoji") or self.path is not None, "data.path", self.path,
                 f"the place of the data for data={self.name}")  # fmt: skip
        require(bool(self.caption_column), "data.caption_column", self.caption_column, "the name of a column")
