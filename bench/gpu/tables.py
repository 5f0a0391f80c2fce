"""The tables of docs/gpu.md, from the record of `python -m bench.gpu`. The prose around them is written by hand."""

import math
import re
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.gpu.cost import COMPARED, FITTING, LARGE_CELLS

PAGE = Path("docs/gpu.md")
NOTHING = "Not measured."
BLOCK = re.compile(r"(<!-- (?P<name>[\w-]+): .*? -->\n)(?P<old>.*?)(?P<end><!-- end -->)", re.DOTALL)
Parts = dict[str, dict[str, Any]]  # part -> its findings
# The default training of 40 kimg with the seeds 0, 1 and 2, on one thread of an AMD EPYC (fp32, PyTorch 2.14).
ON_CPU = {"fid2k_clip_tiny64": (0.1413, 0.1518, 0.1601)}
STUDENT = {2: 12.706, 3: 4.303}  # number of values -> 97.5 % quantile of Student's t for their mean
CHECKS = {  # finding -> what the page calls it
    "40 steps": "40 steps with graphs have the losses and weights of 40 eager steps (fp32, `deterministic=true`)",
    "repeated, 1 kimg": "a training repeats bit for bit (`deterministic=true`)",
    "resumed at 1 kimg, 2 kimg": "a training that resumed at 1 kimg equals an uninterrupted one at 2 kimg",
    "ViT-B32, 32 pixels, 20 steps": "steps with ViT-B32 at 32 pixels repeat bit for bit (`deterministic=true`)",
    "torchrun with one process": "NCCL with one process computes the bits of a run without NCCL",
    "the same losses": "`device=cuda` and `device=cuda:0` compute the same losses",
    "fp16": "fp16 trains without a fault",
    "out of memory in a capture": "after a capture that ran out of memory, steps are eager ones, to the bit",
    "a value is read in a capture": "after a step that cannot be captured, steps are eager ones, to the bit",
}


def write(record: dict[str, Any], page: Path = PAGE) -> Path:
    """Replace the tables of the page by those of a record that has rows for them; return the page."""
    parts = {name: found["found"] for name, found in record["parts"].items()}
    text = page.read_text()
    rows = {name: table(parts) for name, table in TABLES.items()}
    olds = {match["name"]: match["old"].strip() for match in BLOCK.finditer(text)}
    kept = [name for name, lines in rows.items() if not lines and olds.get(name, NOTHING) not in ("", NOTHING)]
    earlier = [f"Measured earlier: {', '.join(kept)}."] if kept else []
    rows["machine"] = [*machine(record), *earlier]

    def block(match: re.Match[str]) -> str:
        return match[1] + ("\n".join(rows[match["name"]]) or match["old"].strip() or NOTHING) + "\n" + match["end"]

    page.write_text(BLOCK.sub(block, text))
    return page


def machine(record: dict[str, Any]) -> list[str]:
    """Return a line that names the GPU, the processor, the versions, the day, the commits, and what failed."""
    parts, here = record["parts"].values(), record["machine"]
    cards: list[dict[str, Any]] = [part["gpu"] for part in parts if part.get("gpu")]
    gpus = sorted({f"{card['name']} ({card['memory_gib']} GiB)" for card in cards})
    versions = sorted({f"PyTorch {card['torch']}, CUDA {card['cuda']}" for card in cards})
    commits = sorted({part["commit"] for part in parts})
    bad = [f"{name} ({part['status']})" for name, part in record["parts"].items() if part["status"] != "done"]
    return [
        f"{' and '.join(gpus) or 'No GPU'}, {here['cores']} cores of {here['cpu']}, {' and '.join(versions)}, "
        f"{here['when']}, commit {' and '.join(commits)}.",
        *([f"Failed or ended by its limit: {', '.join(bad)}."] if bad else []),
    ]


def steps(parts: Parts) -> list[str]:
    """Return the table of the steps' times."""
    rows = []
    for network, precision, found in _measured_steps(parts):
        eager, graphs = found.get("eager"), found.get("graphs")
        best = graphs or eager or {}
        ways = [number(way["ms"]) if way else "" for way in (eager, graphs)]
        peaks = [way["warm_up"].get("peak_gib") for way in (eager, graphs) if way]
        peak = " / ".join(number(value) for value in peaks if value is not None)
        capture = number(graphs["warm_up"]["captured_seconds"]) if graphs else ""
        rows.append([network, precision, *ways, number(found.get("ratio")), number(best.get("s/kimg")), peak, capture])
    header = (
        "network, pixels, batch",
        "precision",
        "eager, ms",
        "graphs, ms",
        "ratio",
        "s/kimg",
        "peak memory, GiB",
        "capture, s",
    )
    return table(header, rows)


def _measured_steps(parts: Parts) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, found in parts.get("step32", {}).items():
        if isinstance(found, dict) and "batch" in name:
            precision, _, batch = name.partition(", batch ")
            yield f"default (`tiny`), 32, {batch}", precision, found
    for name, found in parts.get("step256", {}).items():
        if isinstance(found, dict) and "eager" in found:
            yield "`base`, 256, 16, asymmetric, ViT-B32, resnet50", name, found
    measured = parts.get("lafite", {})
    ways = {way: measured[way] for way in ("eager", "graphs") if isinstance(measured.get(way), dict)}
    if ways:
        both = {"eager", "graphs"} <= ways.keys()
        ratio = {"ratio": ways["eager"]["ms"] / ways["graphs"]["ms"]} if both else {}
        precision = next(iter(ways.values()))["precision"]
        yield "`lafite`, 256, 64, ViT-B32", precision, ways | ratio


def launches(parts: Parts) -> list[str]:
    """Return the table of kernels and launches of the default step."""
    rows = [
        [step, way, str(one["kernels"]), number(one["kernel_ms"]), str(one["launches"] + one["graph_launches"]),
         str(one["copies"])]
        for way, of_way in parts.get("step32", {}).get("launches", {}).items()
        for step, one in of_way.items()
    ]  # fmt: skip
    header = ("step", "", "kernels", "their time, ms", "launches by the CPU", "copies by the CPU")
    return table(header, rows)


def step_parts(parts: Parts) -> list[str]:
    """Return the table of the milliseconds of the main step and the regularisers."""
    rows = []
    for network, precision, found in _measured_steps(parts):
        for way in ("eager", "graphs"):
            if way in found:
                own = found[way]["parts_ms"]
                rows.append([network, precision, way, *(number(own[name]) for name in ("main", "R1", "path length"))])
    header = ("network, pixels, batch", "precision", "", "main, ms", "R1, ms", "path length, ms")
    return table(header, rows)


def notes(parts: Parts) -> list[str]:
    """Return the notes' cost table beside ours, and the four comparisons."""
    found = parts.get("cost", {})
    cells = [name for name in found if isinstance(found[name], dict) and {"ratio", "notes", "ms"} <= found[name].keys()]
    first = table(
        ("", "s/kimg", "ratio to asymmetric online", "the notes"),
        [[name, number(found[name]["s/kimg"]), f"{found[name]['ratio']:.3f}", f"{found[name]['notes']:.3f}"]
         for name in cells],
    )  # fmt: skip
    rows = [[name, f"{found[name]['ratio']:.3f}", f"{found[name]['notes']:.3f}"] for name in COMPARED if name in found]
    second = table(("", "ratio", "the notes"), rows)
    return [*first, "", *second] if first and second else first


def large(parts: Parts) -> list[str]:
    """Return the table of steps with ViT-L/14@336."""
    found = parts.get("cost", {})
    rows = [
        [name, one["precision"], number(one["ms"]), number(one["s/kimg"]), number(one.get("peak_gib"))]
        for name in LARGE_CELLS
        if isinstance(one := found.get(f"ViT-L/14@336: {name}"), dict)
    ]
    return table(("loss, CLIP's precision", "networks", "ms per step", "s/kimg", "peak memory, GiB"), rows)


def fitting(parts: Parts) -> list[str]:
    """Return the table of what fits in 24 GB."""
    found = parts.get("memory", {})
    rows = [
        [name, "yes" if one["fits"] else "no", number(one.get("peak_gib")), one.get("steps", "")]
        for name in FITTING
        if isinstance(one := found.get(name), dict)
    ]
    return table(("at 256 pixels", "fits", "peak memory, GiB", "steps run as"), rows)


def snapshots(parts: Parts) -> list[str]:
    """Return the table of the snapshots' seconds."""
    found, rows = parts.get("snapshot", {}), []
    if one := found.get("2,000 images, 32 pixels"):
        rows.append(["2,000 images, 32 pixels, default metrics", number(one["seconds"])])
        rows.append(["the same, the last snapshot of a training", number(one["last snapshot, seconds"])])
    if one := found.get("30,000 images, 256 pixels"):
        scaled = "" if one["images"] == one["scaled to"] else f", scaled from {one['images']:,}"
        rows.append([f"{one['scaled to']:,} images, 256 pixels, Inception{scaled}", number(one["scaled seconds"])])
    return table(("snapshot", "seconds"), rows)


def commands(parts: Parts) -> list[str]:
    """Return the table of starts and of trials that share a GPU."""
    rows = [
        [f"{name}, to step {step}", number(found[f"step {step}"])]
        for name, found in parts.get("startup", {}).items() if isinstance(found, dict)
        for step in (1, 100)
    ]  # fmt: skip
    found = parts.get("sharing", {}).get("three trials", {})
    if "throughput" in found:
        with_mps = " with MPS" if found["mps"] else " without MPS"
        for what, key, ratio in (("command", "", "commands' ratio"), ("trials alone", ", trials", "throughput")):
            rows.append([f"the demo's three trials, one at a time: {what}", number(found[f"1{key}"])])
            rows.append([f"side by side{with_mps}: {what}", f"{number(found[f'3{key}'])} ({found[ratio]:.2f} x)"])
    return table(("", "seconds"), rows)


def correctness(parts: Parts) -> list[str]:
    """Return the table of the checks."""
    rows = []
    for findings in parts.values():
        for name, found in findings.items():
            if name in CHECKS and isinstance(found, dict) and "ok" in found:  # fp16 is also a row of the gradients
                rows.append([CHECKS[name], "yes" if found["ok"] else "**no**"])
    checked = {name: one for name, one in parts.get("structures", {}).items() if isinstance(one, dict)}
    if checked:
        worst = max(one["found"]["relative difference"] for one in checked.values())
        bad = [name for name, one in checked.items() if not one["ok"]]
        text = f"steps of {len(checked)} settings with graphs have the losses of eager steps (to {worst:.0e})"
        rows.append([text, f"**not** {', '.join(bad)}" if bad else "yes"])
    return table(("", ""), rows)


def gradients(parts: Parts) -> list[str]:
    """Return the table of the regularisers' gradients in lower precision."""
    rows = [
        [name, *(f"{100 * found[part]['relative error']:.1f} %, {found[part]['cosine']:.4f}"
                 for part in ("R1", "path length"))]
        for name, found in parts.get("gradients", {}).items() if isinstance(found, dict)
    ]  # fmt: skip
    return table(("precision", "R1: error, cosine", "path length: error, cosine"), rows)


def quality(parts: Parts) -> list[str]:
    """Return the table of FID after 40 kimg on the GPU and on a CPU, with 95 % intervals of the means over seeds."""
    found = [
        one for number in (0, 1, 2) if isinstance(one := parts.get(f"quality{number}", {}).get(f"seed {number}"), dict)
    ]
    if not found:
        return []
    name = found[0]["name"]
    rows = [[f"GPU, {name}", *_seeds([one["fid"] for one in found])]]
    if name in ON_CPU:
        rows.append([f"CPU, {name}", *_seeds(ON_CPU[name])])
    return table(("40 kimg", "seeds 0, 1, 2", "mean, and its 95 % interval"), rows)


def control(parts: Parts) -> list[str]:
    """Return the table of `make quality` on a GPU: generated images, the aims, and real images."""
    last = parts.get("control", {}).get("last")
    if last is None:
        return []
    names = [name for name in last["real"] if name in last]
    rows = [
        [name, f"{last[name]:.3f}", str(last["targets"].get(name, "")), f"{last['real'][name]:.3f}"] for name in names
    ]
    return table((f"{last['kimg']} kimg, {last['minutes']:.1f} minutes", "generated", "aim", "real images"), rows)


def _seeds(values: Sequence[float]) -> list[str]:
    mean = statistics.mean(values)
    each = ", ".join(number(value) for value in values)
    if len(values) not in STUDENT:
        return [each, number(mean)]
    half = STUDENT[len(values)] * statistics.stdev(values) / math.sqrt(len(values))
    return [each, f"{number(mean)} ± {number(half)}"]


def number(value: float | None) -> str:
    """Format a number with three digits, or two below ten; nothing for None."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table; none without rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}", *lines] if lines else []


TABLES: dict[str, Callable[[Parts], list[str]]] = {
    "steps": steps, "launches": launches, "step-parts": step_parts, "notes": notes, "large": large, "fitting": fitting,
    "snapshots": snapshots, "commands": commands, "correctness": correctness, "gradients": gradients,
    "quality": quality, "control": control,
}  # fmt: skip
