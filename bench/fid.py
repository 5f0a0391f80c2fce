"""Measure bias and deviation of FID by the number of images, on drawn shapes.

The bench trains a generator. The small judge CLIP embeds 20,000 of its images and the 20,000 training images. Then
it compares subsets. `pairs` compares n images with n real ones, as the protocols fid2k_clip_tiny and fid5k do;
`all` compares n images with all real ones, as fid50k_full and fid30k_coco do. `real` is the same between two halves of
the real images, where the true distance is 0.

There are two deviations: over images of other prompts, as a protocol's value varies, and over other latents of the same
prompts. A run estimates the second deviation itself (`fid_sd`), and the table has both side by side.
Overrides as for train.py; a second call continues from the checkpoint. Values go to runs/bench/fid.json, the curves to
docs/fid.svg. These are the defaults:

    python -m bench.fid kimg=8 pool=20000 repeats=20 draws=100
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.measuring import FOLDER, arguments, new_training, show, two_panels, write
from clipgan.base.console import console, track
from clipgan.base.device import choose_device
from clipgan.config import MEASURES, Config
from clipgan.config.command_line import compose_config, messages_not_tracebacks
from clipgan.metrics.evaluation import Evaluation
from clipgan.metrics.generated import evaluating, generate, measured
from clipgan.metrics.scores import compare, fid, fid_deviation, moments
from clipgan.tasks.gan.preparation import prepare
from clipgan.tracking.run_description import Origin

COUNTS = (250, 500, 1000, 2000, 5000)
KID_REPEATS = 5  # KID takes a hundred subsets of each subset
PROMPTS = 2000  # prompts that get new latents
FIGURE = Path("docs/fid.svg")


@messages_not_tracebacks()
def main() -> None:
    """Measure, print, write and draw.

    Options: `pool` is the number of images of each kind, from which subsets are drawn; `repeats` is the number of
    subsets; `draws` is the number of latents per prompt: 100 give the deviation to 7 %, or worse with heavy tails.
    """
    options, overrides = arguments(__doc__, pool=20000, repeats=20, draws=100)
    config = compose_config(["mlflow.tracking_uri=null", *overrides])
    generated, redrawn, real = embedded(config, options["pool"], options["draws"])
    one_half, other_half = real[torch.from_numpy(np.random.default_rng(0).permutation(len(real)))].chunk(2)
    sets = {"generator": (generated, real, redrawn), "real": (one_half, other_half, [])}
    counts = [count for count in COUNTS if count < min(len(generated), len(other_half))]
    found: dict[str, Any] = {}
    for name, (one, other, again) in sets.items():
        truth = distances(one, other, kid=True) if name == "generator" else {"fid": 0.0, "kid": 0.0}
        found[name] = {"limit": truth}
        for protocol in ("pairs", "all"):
            found[name][protocol] = [
                at_count(one, other, again, count, protocol == "pairs", truth, options["repeats"])
                for count in track(counts, f"{name}, {protocol}", len(counts))
            ]
    show(
        ("of", "against", "images", "FID", "bias", "sd", "over latents", "fid_sd", "KID", "sd"),
        (row for name in sets for protocol in ("pairs", "all") for row in rows_of(found, name, protocol)),
    )
    write("fid", repeats=options, kimg=config.kimg, **found)
    draw(found, counts)
    console.print(f"drawn: {FIGURE}")


def rows_of(found: dict[str, Any], name: str, protocol: str) -> Iterator[list[str]]:
    """Yield the table's rows of one protocol, one row per count."""
    for row in found[name][protocol]:
        fid, kid = row["fid"], row["kid"]
        deviations = (fid["sd"], row.get("latents_sd"), row.get("told_sd"))
        numbers = (row["count"], fid["mean"], fid["bias"], *deviations, kid["mean"], kid["sd"])
        yield [name, protocol, *("" if x is None else f"{x:.4g}" for x in numbers)]


def embedded(config: Config, pool: int, draws: int) -> tuple[Tensor, list[Tensor], Tensor]:
    """Compute the judge's rows of a trained generator's images [N, D], of its images for the first prompts with other
    latents (`draws` times), and of the real images [M, D].
    """
    folder = FOLDER / "fid"
    folder.mkdir(parents=True, exist_ok=True)
    device = choose_device(config.device)
    prepared = prepare(config, device)
    training = new_training(config, folder, prepared)
    training.run(Origin())
    never: dict[str, Any] = dict.fromkeys(MEASURES, "never")
    protocol = dataclasses.replace(
        config.metrics, n_images=pool, split="train", real="all", captions="random", weights="ema", **never
    )
    evaluation = Evaluation(
        dataclasses.replace(config, metrics=protocol),
        prepared.data, prepared.features, prepared.judge, prepared.clip, prepared.cache_dir, device,
    )  # fmt: skip

    def rows(prompts: Tensor, draw: int) -> Tensor:
        generator = training.state.generator_ema
        pictures = partial(generate, generator, prompts.to(device), seed=config.seed + 1, draw=draw)
        with evaluating(generator):
            found = measured(pictures, len(prompts), lambda images, _: evaluation.extractor(images), device)
        return found["features"]

    conditions = evaluation.prompts.conditions
    redrawn = [rows(conditions[:PROMPTS], draw) for draw in range(1, draws + 1)]
    return rows(conditions, 0), redrawn, evaluation.real


def distances(one: Tensor, other: Tensor, kid: bool) -> dict[str, float]:
    """Compute `fid`, and with `kid` also `kid` and `kid_sd`."""
    return {"fid": fid(moments(one), moments(other))} | (compare(one, other, kid=True) if kid else {})


def at_count(
    one: Tensor, other: Tensor, again: list[Tensor], count: int, pairs: bool, truth: dict[str, float], repeats: int
) -> dict[str, Any]:
    """Compute mean, bias and deviation of FID and KID of `count` images, FID's deviation over latents, and `fid_sd`.

    Subsets are drawn without replacement; deviations are corrected for the subsets' share of the pool.
    """
    rng = np.random.default_rng(count)
    values: dict[str, list[float]] = {"fid": [], "kid": []}
    for repeat in range(repeats):
        drawn = one[torch.from_numpy(rng.choice(len(one), count, replace=False))]
        against = other[torch.from_numpy(rng.choice(len(other), count, replace=False))] if pairs else other
        for name, value in distances(drawn, against, kid=repeat < KID_REPEATS).items():
            if name in values:
                values[name].append(value)
    finite = math.sqrt(1 - count / len(one))
    row: dict[str, Any] = {"count": count}
    if again and count <= PROMPTS:
        over_latents = [fid(moments(rows[:count]), moments(against)) for rows in again]
        told = [fid_deviation(a[:count], b[:count], moments(against), 0) for a, b in itertools.pairwise(again[:6])]
        row["latents_sd"], row["told_sd"] = float(np.std(over_latents, ddof=1)), float(np.mean(told))
    for name, record in values.items():
        mean, sd = float(np.mean(record)), float(np.std(record, ddof=1)) / finite
        row[name] = {"mean": mean, "bias": mean - truth[name], "sd": sd}
    return row


def draw(found: dict[str, Any], counts: list[int]) -> None:
    """Draw bias and deviation of FID against the number of images, as an SVG."""
    with two_panels(FIGURE) as panels:
        for panel, key in zip(panels, ("bias", "sd"), strict=True):
            for name, colour in (("generator", "tab:blue"), ("real", "tab:gray")):
                for protocol, style in (("pairs", "-"), ("all", "--")):
                    rows = found[name][protocol]
                    against = "as many real images" if protocol == "pairs" else "all real images"
                    panel.plot(
                        [row["count"] for row in rows], [row["fid"][key] for row in rows], style, color=colour,
                        marker=".", label=f"{'generated' if name == 'generator' else 'real'} against {against}",
                    )  # fmt: skip
            if key == "sd":
                rows = [row for row in found["generator"]["pairs"] if "latents_sd" in row]
                panel.plot(
                    [row["count"] for row in rows], [row["latents_sd"] for row in rows], ":", color="tab:blue",
                    marker=".", label="generated, over latents alone",
                )  # fmt: skip
                panel.legend(handles=panel.lines[-1:], fontsize=8)
            panel.set(xscale="log", yscale="log", xlabel="images")
            panel.set(title=f"FID: {'bias' if key == 'bias' else 'deviation'}")
            panel.set_xticks(counts, [str(count) for count in counts], minor=False)
            panel.minorticks_off()
        panels[0].legend(fontsize=8)


if __name__ == "__main__":
    main()
