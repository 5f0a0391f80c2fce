"""Train on drawn shapes, and measure with an independent judge and an oracle whether the text controls the picture.

The judge gives R-precision. The oracle (`clipgan.metrics.shapes_oracle`) reads accuracies from the pixels. The table
has both, and the diversity, for generated and real images. The default length takes half an hour of one core, or eight
minutes of a GPU. A second call resumes a stopped run. Overrides as for train.py. Values go to runs/quality, the curves
to docs/quality.svg, the last sample grid to docs/quality.png; a GPU's to runs/quality-gpu and docs/quality-gpu.*:

    python -m bench.quality kimg=100
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.measuring import arguments, show, two_panels, write
from clipgan.base.console import console
from clipgan.base.device import choose_device
from clipgan.config.command_line import compose_config, messages_not_tracebacks
from clipgan.inputs.data.shapes_captions import parse_caption
from clipgan.metrics.evaluation import Evaluation
from clipgan.metrics.prompts import real_indices
from clipgan.metrics.retrieval import candidates_of, different_texts, r_precision
from clipgan.metrics.shapes_oracle import ATTRIBUTES, hits, read
from clipgan.tasks.gan.preparation import Prepared, prepare
from clipgan.tasks.train import train

COMMON = ("metrics.diversity=snapshot", "mlflow.tracking_uri=null")
# Half an hour of one core. On a GPU, a step of 64 images takes less than twice as long as one of 16.
OVERRIDES = {
    "cpu": ("kimg=380", "snapshot_kimg=20"),
    "cuda": ("batch=64", "budget=seconds", "seconds=450", "kimg=10000", "snapshot_kimg=200"),
}
TARGETS = {
    "cpu": {"accuracy_colour": 0.97, "accuracy_position": 0.92, "accuracy_shape": 0.6, "diversity": 0.7},
    "cuda": {"accuracy_shape": 0.85, **{f"accuracy_{name}": 0.97 for name in ATTRIBUTES if name != "shape"}},
}
SHOWN = ("r_precision", *(f"accuracy_{name}" for name in ATTRIBUTES), "diversity")


@messages_not_tracebacks()
def main() -> None:
    """Train, measure, print, write and draw."""
    _, overrides = arguments(__doc__)
    device = choose_device(compose_config(["data=shapes", *overrides]).device)
    config = compose_config(["data=shapes", *COMMON, *OVERRIDES[device.type], *overrides])
    targets, (place, figure, picture) = TARGETS[device.type], outputs(device)
    prepared = prepare(config, device)
    train(config, place)
    evaluation = Evaluation(
        config, prepared.data, prepared.features, prepared.judge, prepared.clip, prepared.cache_dir, device
    )
    records = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    minutes = sum(record.get("sec_per_kimg", 0) + record.get("snapshot_seconds", 0) for record in records) / 60
    fid = evaluation.names["fid"]
    curve = [named(record, fid) for record in records if fid in record]
    real, last = of_real_images(evaluation, prepared), curve[-1]
    show(
        ("", "generated", "target", "real images"),
        ((name, f"{last[name]:.3f}", targets.get(name, ""), f"{real[name]:.3f}") for name in SHOWN),
        f"after {last['kimg']} kimg, {fid} {last['fid']:.3g}",
    )
    write("quality", place, minutes=minutes, fid=fid, targets=targets, real=real, curve=curve)
    draw(curve, fid, figure)
    shutil.copy(place / f"samples-{last['kimg']:06d}.png", picture)
    console.print(f"{minutes:.0f} minutes of training and measuring; {figure} and {picture}")


def outputs(device: torch.device) -> tuple[Path, Path, Path]:
    """Return the run directory, the curves and the last sample grid of a training on this device."""
    name = "quality-gpu" if device.type == "cuda" else "quality"
    return Path("runs", name), Path("docs", f"{name}.svg"), Path("docs", f"{name}.png")


def named(record: dict[str, Any], fid: str) -> dict[str, float]:
    """Return a snapshot's metrics by the names in `SHOWN`."""
    figures = {"kimg": record["step"], "fid": record[fid]}
    for name in SHOWN:
        [key] = [key for key in record if key.startswith(name) and "_hard" not in key]
        figures[name] = record[key]
    return figures


def of_real_images(evaluation: Evaluation, prepared: Prepared) -> dict[str, float]:
    """Measure the captions' own real images by judge and oracle: the upper limit, but for diversity, which is 1."""
    captions, judge = evaluation.prompts.captions, prepared.judge
    assert captions is not None
    assert judge is not None
    split = prepared.data.heldout
    readings = read(torch.from_numpy(split.images[real_indices(split, evaluation.metrics)]))
    shares = [hits(reading, parse_caption(text)) for reading, text in zip(readings, captions, strict=False)]
    texts, own = different_texts(captions[: len(evaluation.real)], judge.encode_text)
    figures = {f"accuracy_{name}": float(np.nanmean([share[name] for share in shares])) for name in ATTRIBUTES}
    return figures | {
        "r_precision": r_precision(evaluation.real, texts, own, candidates_of(len(texts))),
        "diversity": 1.0,
    }


def draw(curve: list[dict[str, float]], fid: str, figure: Path) -> None:
    """Draw FID, R-precision and accuracies against kimg, as an SVG."""
    kimg = [row["kimg"] for row in curve]
    with two_panels(figure) as (left, right):
        left.plot(kimg, [row["fid"] for row in curve], marker=".")
        left.set(yscale="log", xlabel="kimg", title=fid)
        for name in SHOWN:
            label = name.removeprefix("accuracy_").replace("r_precision", "R-precision, 1 of 100")
            right.plot(kimg, [row[name] for row in curve], marker=".", label=label)
        right.set(ylim=(0, 1), xlabel="kimg", title="share that is as the caption says, and diversity")
        right.legend(fontsize=8)


if __name__ == "__main__":
    main()
