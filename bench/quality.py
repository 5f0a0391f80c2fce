"""Does the text control the picture? A training on drawn shapes, measured by an independent judge and an oracle.

R-precision is the judge's, accuracies are read off the pixels (`clipgan.metrics.shapes_oracle`); beside them stands
what both say of the real images. A run that was stopped goes on. Overrides as for train.py; figures go to runs/quality,
the curves to docs/quality.svg, the last sample grid to docs/quality.png:

    python -m bench.quality kimg=200
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from bench.machine import machine
from clipgan.base.console import console
from clipgan.base.device import choose_device
from clipgan.config.command_line import compose_config
from clipgan.inputs.data.shapes_captions import parse_caption
from clipgan.metrics.evaluation import Evaluation
from clipgan.metrics.prompts import real_indices
from clipgan.metrics.retrieval import candidates_of, different_texts, r_precision
from clipgan.metrics.shapes_oracle import ATTRIBUTES, hits, read
from clipgan.tasks.gan.preparation import Prepared, prepare
from clipgan.tasks.train import train

OVERRIDES = ("kimg=200", "snapshot_kimg=20", "mlflow.tracking_uri=null", "metrics.accuracy=snapshot")
TARGETS = {"r_precision": 0.6, "accuracy_colour": 0.9}
FOLDER, FIGURE, PICTURE = Path("runs/quality"), Path("docs/quality.svg"), Path("docs/quality.png")
SHOWN = ("r_precision", *(f"accuracy_{name}" for name in ATTRIBUTES))


def main() -> None:
    """Train, measure, print, write and draw."""
    config = compose_config(["data=shapes", *OVERRIDES, *sys.argv[1:]])
    device = choose_device(config.device)
    prepared = prepare(config, device)
    train(config, FOLDER)
    evaluation = Evaluation(
        config, prepared.data, prepared.features, prepared.judge, prepared.clip, prepared.cache_dir, device
    )
    records = [json.loads(line) for line in (FOLDER / "metrics.jsonl").read_text().splitlines()]
    minutes = sum(record.get("sec_per_kimg", 0) + record.get("snapshot_seconds", 0) for record in records) / 60
    curve = [named(record, evaluation.key) for record in records if evaluation.key in record]
    found = {
        "machine": machine(), "command": ["python", "-m", "bench.quality", *sys.argv[1:]], "minutes": minutes,
        "fid": evaluation.key, "targets": TARGETS, "real": of_real_images(evaluation, prepared), "curve": curve,
    }  # fmt: skip
    (FOLDER / "quality.json").write_text(json.dumps(found, indent=2) + "\n")
    console.print(table(found))
    draw(found)
    shutil.copy(FOLDER / f"samples-{curve[-1]['kimg']:06d}.png", PICTURE)
    console.print(f"{minutes:.0f} minutes of training and measuring; {FOLDER}/quality.json, {FIGURE} and {PICTURE}")


def named(record: dict[str, Any], fid: str) -> dict[str, float]:
    """A snapshot's figures by the names of `SHOWN`."""
    figures = {"kimg": record["step"], "fid": record[fid]}
    for name in SHOWN:
        [key] = [key for key in record if key.startswith(name)]
        figures[name] = record[key]
    return figures


def of_real_images(evaluation: Evaluation, prepared: Prepared) -> dict[str, float]:
    """What judge and oracle say of the images that the captions belong to: the most that can be reached."""
    captions, judge = evaluation.prompts.captions, prepared.judge
    assert captions is not None
    assert judge is not None
    split = prepared.data.heldout
    readings = read(np.asarray(split.images[real_indices(split, evaluation.metrics)]))
    shares = [hits(reading, parse_caption(text)) for reading, text in zip(readings, captions, strict=False)]
    texts, own = different_texts(captions[: len(evaluation.real)], judge.encode_text)
    figures = {f"accuracy_{name}": float(np.nanmean([share[name] for share in shares])) for name in ATTRIBUTES}
    return {"r_precision": r_precision(evaluation.real, texts, own, candidates_of(len(texts)))} | figures


def table(found: dict[str, Any]) -> Table:
    """The last snapshot beside the targets and the real images."""
    last = found["curve"][-1]
    shown = Table(title=f"after {last['kimg']} kimg, {found['fid']} {last['fid']:.3g}")
    for name in ("", "generated", "target", "real images"):
        shown.add_column(name, justify="right" if name else "left")
    for name in SHOWN:
        target = found["targets"].get(name)
        shown.add_row(name, f"{last[name]:.3f}", "" if target is None else str(target), f"{found['real'][name]:.3f}")
    return shown


def draw(found: dict[str, Any]) -> None:
    """FID, R-precision and accuracies against kimg, as an SVG."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "quality"  # the same figures, the same file
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(9, 3.4), sharex=True, layout="constrained")
    kimg = [row["kimg"] for row in found["curve"]]
    panels[0].plot(kimg, [row["fid"] for row in found["curve"]], marker=".")
    panels[0].set(yscale="log", xlabel="kimg", title=found["fid"])
    for name in SHOWN:
        label = name.removeprefix("accuracy_").replace("r_precision", "R-precision, 1 of 100")
        panels[1].plot(kimg, [row[name] for row in found["curve"]], marker=".", label=label)
    panels[1].set(ylim=(0, 1), xlabel="kimg", title="share that is as the caption says")
    panels[1].legend(fontsize=8)
    for panel in panels:
        panel.grid(alpha=0.3)
    figure.savefig(FIGURE, metadata={"Date": None})


if __name__ == "__main__":
    main()
