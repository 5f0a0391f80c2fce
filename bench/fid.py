"""How far a FID of few images is off, and how much it varies: bias and deviation over sample counts, on drawn shapes.

A generator is trained (once: a second call takes its checkpoint), 20,000 images of it and the 20,000 training images
are embedded by the small CLIP that judges, and subsets of them compared. `pairs` compares n images with n real ones, as
the protocols fid2k_clip_tiny and fid5k do, `all` n images with all real ones, as fid50k_full and fid30k_coco do. `real`
is the same between two halves of the real images, where the true distance is 0. Deviations are of two kinds: over
images of other prompts, as a protocol's figure varies, and over other latents of the same prompts, which is what a run
tells of itself (`fid_sd`) and what that is compared with. Overrides as for train.py; figures go to runs/bench/fid.json,
the curves to docs/fid.svg:

    python -m bench.fid kimg=8
"""

import dataclasses
import itertools
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table
from torch import Tensor

from bench.machine import machine
from clipgan.base.console import console, track
from clipgan.base.device import choose_device
from clipgan.config import MEASURES, Config
from clipgan.config.command_line import compose_config
from clipgan.metrics.evaluation import Evaluation
from clipgan.metrics.generated import measured
from clipgan.metrics.scores import compare, fid_deviation
from clipgan.tasks.gan.preparation import prepare
from clipgan.tasks.gan.training import Training

COUNTS = (250, 500, 1000, 2000, 5000)
POOL = 20000  # images of each kind that subsets are drawn from
REPEATS, KID_REPEATS = 20, 5  # KID takes a hundred subsets of each subset
DRAWS, PROMPTS = (
    100,
    2000,
)  # of latents, for so many prompts: a deviation of so many is right to 7 %, or less with tails
FOLDER, FIGURE = Path("runs/bench"), Path("docs/fid.svg")


def main() -> None:
    """Measure, print, write and draw."""
    config = compose_config(["mlflow.tracking_uri=null", *sys.argv[1:]])
    generated, redrawn, real = embedded(config)
    one_half, other_half = real[torch.from_numpy(np.random.default_rng(0).permutation(len(real)))].chunk(2)
    sets = {"generator": (generated, real, redrawn), "real": (one_half, other_half, [])}
    found: dict[str, Any] = {
        "machine": machine(),
        "repeats": {"fid": REPEATS, "kid": KID_REPEATS, "latents": DRAWS},
        "pool": POOL,
        "kimg": config.kimg,
    }
    for name, (one, other, again) in sets.items():
        truth = compare(one, other, kid=True) if name == "generator" else {"fid": 0.0, "kid": 0.0}
        found[name] = {"limit": truth}
        for protocol in ("pairs", "all"):
            found[name][protocol] = [
                at_count(one, other, again, count, protocol == "pairs", truth)
                for count in track(COUNTS, f"{name}, {protocol}", len(COUNTS))
            ]
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "fid.json").write_text(json.dumps(found, indent=2) + "\n")
    draw(found)
    console.print(table(found))
    console.print(f"{FOLDER}/fid.json and {FIGURE}")


def embedded(config: Config) -> tuple[Tensor, list[Tensor], Tensor]:
    """The judge's rows of a trained generator's images [N, D], of its images of the first prompts with other latents
    (`DRAWS` times), and of the real images [M, D].
    """
    device = choose_device(config.device)
    prepared = prepare(config, device)
    torch.set_num_threads(config.threads or torch.get_num_threads())
    training = Training(config, FOLDER / "fid", prepared, device, None)
    (FOLDER / "fid").mkdir(parents=True, exist_ok=True)
    training.run(None)
    never: dict[str, Any] = dict.fromkeys(MEASURES, "never")
    protocol = dataclasses.replace(
        config.metrics, n_images=POOL, split="train", real="all", captions="random", weights="ema", **never
    )
    evaluation = Evaluation(
        dataclasses.replace(config, metrics=protocol),
        prepared.data, prepared.features, prepared.judge, prepared.clip, prepared.cache_dir, device,
    )  # fmt: skip

    def rows(prompts: Tensor, draw: int) -> Tensor:
        generator = training.state.generator_ema
        found = measured(
            generator, prompts, config.seed + 1, device, lambda images, _: evaluation.extractor(images), draw
        )
        return found["features"]

    conditions = evaluation.prompts.conditions
    redrawn = [rows(conditions[:PROMPTS], draw) for draw in range(1, DRAWS + 1)]
    return rows(conditions, 0), redrawn, evaluation.real


def at_count(
    one: Tensor, other: Tensor, again: list[Tensor], count: int, pairs: bool, truth: dict[str, float]
) -> dict[str, Any]:
    """Mean, bias and deviation of FID and KID of `count` images; FID's deviation over latents, and as a run tells it.

    Subsets are drawn without replacement; deviations are corrected for the share of the pool that they take.
    """
    rng = np.random.default_rng(count)
    values: dict[str, list[float]] = {"fid": [], "kid": []}
    for repeat in range(REPEATS):
        drawn = one[torch.from_numpy(rng.choice(len(one), count, replace=False))]
        against = other[torch.from_numpy(rng.choice(len(other), count, replace=False))] if pairs else other
        for name, value in compare(drawn, against, kid=repeat < KID_REPEATS).items():
            if name in values:
                values[name].append(value)
    finite = math.sqrt(1 - count / len(one))
    row: dict[str, Any] = {"count": count}
    if again and count <= PROMPTS:
        over_latents = [compare(rows[:count], against)["fid"] for rows in again]
        told = [fid_deviation(a[:count], b[:count], against, 0) for a, b in itertools.pairwise(again[:6])]
        row["latents_sd"], row["told_sd"] = float(np.std(over_latents, ddof=1)), float(np.mean(told))
    for name, record in values.items():
        mean, sd = float(np.mean(record)), float(np.std(record, ddof=1)) / finite
        row[name] = {"mean": mean, "bias": mean - truth[name], "sd": sd}
    return row


def table(found: dict[str, Any]) -> Table:
    """What was measured, a row for each count."""
    shown = Table("of", "against", "images", "FID", "bias", "sd", "over latents", "fid_sd", "KID", "sd")
    for name in ("generator", "real"):
        for protocol in ("pairs", "all"):
            for row in found[name][protocol]:
                fid, kid = row["fid"], row["kid"]
                deviations = (fid["sd"], row.get("latents_sd"), row.get("told_sd"))
                numbers = (fid["mean"], fid["bias"], *deviations, kid["mean"], kid["sd"])
                shown.add_row(name, protocol, str(row["count"]), *("" if x is None else f"{x:.4g}" for x in numbers))
    return shown


def draw(found: dict[str, Any]) -> None:
    """Bias and deviation of FID against the number of images, as an SVG."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "fid"  # the same figures, the same file
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(9, 3.4), sharex=True, layout="constrained")
    for panel, key in zip(panels, ("bias", "sd"), strict=True):
        for name, colour in (("generator", "tab:blue"), ("real", "tab:gray")):
            for protocol, style in (("pairs", "-"), ("all", "--")):
                rows = found[name][protocol]
                against = "as many real images" if protocol == "pairs" else "all real images"
                panel.plot(
                    [row["count"] for row in rows], [row["fid"][key] for row in rows], style, color=colour, marker=".",
                    label=f"{'generated' if name == 'generator' else 'real'} against {against}",
                )  # fmt: skip
        if key == "sd":
            rows = [row for row in found["generator"]["pairs"] if "latents_sd" in row]
            panel.plot(
                [row["count"] for row in rows], [row["latents_sd"] for row in rows], ":", color="tab:blue", marker=".",
                label="generated, over latents alone",
            )  # fmt: skip
            panel.legend(handles=panel.lines[-1:], fontsize=8)
        panel.set(xscale="log", yscale="log", xlabel="images", title=f"FID: {'bias' if key == 'bias' else 'deviation'}")
        panel.set_xticks(COUNTS, [str(count) for count in COUNTS], minor=False)
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0].legend(fontsize=8)
    FIGURE.parent.mkdir(exist_ok=True)
    figure.savefig(FIGURE, metadata={"Date": None})


if __name__ == "__main__":
    main()
