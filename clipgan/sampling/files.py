"""Write the files of a sampling: a labelled grid, single pictures, strips. Their names say what they show."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from clipgan.base.console import track
from clipgan.base.pictures import draw_grid, to_picture
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.sampling.options import SampleOptions
from clipgan.sampling.rerank import best, clip_scores
from clipgan.sampling.sampler import Sampler
from clipgan.sampling.strips import latent_strip, text_strip

MIN_CELL = 128  # pixels; grids enlarge smaller pictures by a whole factor, single files never do
NAME = 60  # bytes of each prompt in a file's name; a name has two prompts at most


@dataclass(frozen=True)
class Picture:
    """One picture and how it was made."""

    prompt: str
    seed: int
    image: Tensor  # uint8 [3, R, R]
    score: float | None  # by CLIP; None without a judge

    @property
    def label(self) -> str:
        """The text below the picture in a grid."""
        return f"seed {self.seed}" if self.score is None else f"seed {self.seed}: {self.score:.3f}"


def write_pictures(
    folder: Path, pictures: Mapping[str, Sequence[Picture]], truncation: float, source: str
) -> list[Path]:
    """Write a grid with a row for each prompt, and each picture as a file.

    Args:
        folder: gets the files.
        pictures: the pictures of each prompt, equally many of each.
        truncation: of these pictures; stored in the files.
        source: the model's name; stored in the files.
    """
    names = dict(zip(pictures, file_names(list(pictures)), strict=True))
    flat = list(itertools.chain(*pictures.values()))
    files = [folder / "grid.png"]
    images = torch.stack([picture.image for picture in flat])
    draw_grid(images, list(pictures), [picture.label for picture in flat], MIN_CELL).save(files[0])
    for picture in flat:
        files.append(folder / f"{names[picture.prompt]}-seed-{picture.seed}.png")
        save_picture(picture, truncation, source, files[-1])
    return files


def chosen_pictures(sampler: Sampler, prompt: str, options: SampleOptions, judge: FrozenClip | None) -> list[Picture]:
    """A picture for each seed; with a judge the best `options.rerank` of them, the best first."""
    condition = sampler.condition(prompt)
    seeds = track(options.seeds, prompt, len(options.seeds))
    images = torch.stack([sampler.image(condition, seed, options.truncation) for seed in seeds])
    if judge is None:
        return [Picture(prompt, seed, image, None) for seed, image in zip(options.seeds, images, strict=True)]
    assert options.rerank is not None
    scores = clip_scores(judge, images, prompt, sampler.device)
    kept = best(scores, options.rerank)
    return [Picture(prompt, options.seeds[index], images[index], float(scores[index])) for index in kept]


def save_picture(picture: Picture, truncation: float, source: str, path: Path) -> None:
    """Write a PNG whose text chunks say how it was made."""
    info = PngInfo()
    made_of = {"prompt": picture.prompt, "seed": picture.seed, "truncation": truncation, "model": source}
    for key, value in made_of.items():
        info.add_itxt(key, str(value))
    to_picture(picture.image).save(path, pnginfo=info)


def write_strips(
    folder: Path, sampler: Sampler, options: SampleOptions, pictures: Mapping[str, Sequence[Picture]]
) -> list[Path]:
    """Write interpolations between the pictures that were kept, as sheets of strips.

    Latents: a sheet for each prompt, with a row from each seed to the next. Texts: a sheet from each prompt to the
    next, with a row for each seed of the first prompt.
    """
    steps, truncation, files = options.steps, options.truncation, []
    names = dict(zip(pictures, file_names(list(pictures)), strict=True))
    seeds = {prompt: [picture.seed for picture in kept] for prompt, kept in pictures.items()}
    if "latent" in options.interpolate:
        for prompt, kept in seeds.items():
            pairs = list(itertools.pairwise(kept))
            rows = [latent_strip(sampler, prompt, pair, steps, truncation) for pair in pairs]
            captions = [f"{prompt}: seed {first} to seed {second}" for first, second in pairs]
            files.append(folder / f"latent-{names[prompt]}.png")
            draw_grid(torch.cat(rows), captions, min_cell=MIN_CELL).save(files[-1])
    if "text" in options.interpolate:
        for first, second in itertools.pairwise(seeds):
            rows = [text_strip(sampler, (first, second), seed, steps, truncation) for seed in seeds[first]]
            captions = [f"{first} to {second}, seed {seed}" for seed in seeds[first]]
            files.append(folder / f"text-{names[first]}-to-{names[second]}.png")
            draw_grid(torch.cat(rows), captions, min_cell=MIN_CELL).save(files[-1])
    return files


def file_names(prompts: Sequence[str]) -> list[str]:
    """A part of a file's name for each prompt: its words joined by hyphens. Equal names get a number."""
    names: list[str] = []
    for prompt in prompts:
        words = re.sub(r"\W+", "-", prompt.lower()).strip("-_") or "prompt"
        if len(words.encode()) > NAME:
            start = words.encode()[:NAME].decode(errors="ignore")  # drops a letter that was cut in half
            words = start.rpartition("-")[0] or start
        same = sum(name == words or name.startswith(f"{words}--") for name in names)
        names.append(f"{words}--{same + 1}" if same else words)
    return names
