"""The files that sampling writes: a labelled grid, single pictures, strips; file names tell prompt and seed."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from clipgan.base.console import track
from clipgan.base.pictures import GRID, SAMPLED, SOFTWARE, draw_grid, to_picture
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.sampling.options import SampleOptions
from clipgan.sampling.rerank import best, clip_scores
from clipgan.sampling.sampler import Sampler
from clipgan.sampling.strips import latent_strip, text_strip

MIN_CELL = 128  # pixels; smaller pictures are enlarged by a whole factor in grids, never in files of their own
NAME = 60  # bytes of a prompt in a file name, which contains at most two prompts


@dataclass(frozen=True)
class Picture:
    """One picture, with its prompt and seed."""

    prompt: str
    seed: int
    image: Tensor  # uint8 [3, R, R]
    score: float | None  # CLIP's cosine with the prompt; None without rerank
    drawn_for: str = "prompt"  # prompt | image: what the prompt is, a text or the label of a picture

    @property
    def label(self) -> str:
        """The text below the picture in a grid."""
        return f"seed {self.seed}" if self.score is None else f"seed {self.seed}: {self.score:.3f}"


def write_pictures(
    folder: Path, pictures: Mapping[str, Sequence[Picture]], truncation: float, source: str
) -> list[Path]:
    """Write a grid with a row for each prompt, and a file for each picture; return the files, the grid first.

    Args:
        folder: the folder of the files.
        pictures: prompt -> its pictures, the same number for each prompt.
        truncation: the truncation of the pictures, for the text in the PNGs.
        source: the model's name, for the text in the PNGs.
    """
    names = dict(zip(pictures, file_names(list(pictures)), strict=True))
    flat = list(itertools.chain(*pictures.values()))
    files = [folder / GRID]
    images = torch.stack([picture.image for picture in flat])
    about = PngInfo()
    about.add_text(SOFTWARE, SAMPLED)
    draw_grid(images, list(pictures), [picture.label for picture in flat], MIN_CELL).save(files[0], pnginfo=about)
    for picture in flat:
        files.append(folder / picture_name(names[picture.prompt], picture.seed))
        save_picture(picture, truncation, source, files[-1])
    return files


def chosen_pictures(
    sampler: Sampler, prompt: str, condition: Tensor, options: SampleOptions, judge: FrozenClip | None
) -> list[Picture]:
    """Make a picture for each seed; with a judge, return only the `options.rerank` best ones, the best first."""
    drawn_for = "image" if prompt == options.image_label else "prompt"
    seeds = track(options.seeds, prompt, len(options.seeds))
    images = torch.stack([sampler.image(condition, seed, options.truncation) for seed in seeds])
    if judge is None:
        return [
            Picture(prompt, seed, image, None, drawn_for) for seed, image in zip(options.seeds, images, strict=True)
        ]
    assert options.rerank is not None
    scores = clip_scores(judge, images, prompt, sampler.device)
    kept = best(scores, options.rerank)
    return [Picture(prompt, options.seeds[index], images[index], float(scores[index])) for index in kept]


def save_picture(picture: Picture, truncation: float, source: str, path: Path) -> None:
    """Write a PNG with prompt (or the label of its picture), seed, truncation and model in its text chunks."""
    info = PngInfo()
    settings = {picture.drawn_for: picture.prompt, "seed": picture.seed, "truncation": truncation, "model": source}
    for key, value in settings.items():
        info.add_itxt(key, str(value))
    to_picture(picture.image).save(path, pnginfo=info)


def write_strips(
    folder: Path, sampler: Sampler, options: SampleOptions, pictures: Mapping[str, Sequence[Picture]]
) -> list[Path]:
    """Write interpolations between the kept pictures.

    Latents: a file for each prompt, with a row for each pair of consecutive seeds. Texts: a file for each pair of
    consecutive prompts, with a row for each seed of the first prompt.
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


def unused_folder(folder: Path) -> Path:
    """Return this folder, or the first of FOLDER-2, FOLDER-3 ... that does not exist, so that no file is lost."""
    further = (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(2))
    return next(each for each in itertools.chain([folder], further) if not each.exists())


def picture_name(prompt: str, seed: int) -> str:
    """Return the file name of a picture, of its prompt's part from `file_names` and its seed."""
    return f"{prompt}-seed-{seed}.png"


def file_names(prompts: Sequence[str]) -> list[str]:
    """Return a part of a file name for each prompt: its words with hyphens, and a number if two would be equal."""
    names: list[str] = []
    for prompt in prompts:
        words = re.sub(r"\W+", "-", prompt.lower()).strip("-_") or "prompt"
        if len(words.encode()) > NAME:
            start = words.encode()[:NAME].decode(errors="ignore")  # drops a letter that was cut in half
            words = start.rpartition("-")[0] or start
        same = sum(name == words or name.startswith(f"{words}--") for name in names)
        names.append(f"{words}--{same + 1}" if same else words)
    return names
