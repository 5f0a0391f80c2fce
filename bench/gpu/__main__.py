"""Measure and check all that needs a GPU, in 8 minutes, and write the tables of docs/gpu.md.

    python -m bench.gpu                          # all parts; 480 seconds
    python -m bench.gpu budget=120 only=step32,lafite
    python -m bench.gpu only=control             # `make quality` on a GPU, in 480 seconds
    python -m bench.gpu small=1 device=cpu       # the same code with shrunken sizes, without a GPU
    python -m bench.gpu tables                   # write the tables of docs/gpu.md from runs/bench/gpu.json

Each part runs in a process of its own and has a limit. A part that fails or is late is recorded as such, and the
others go on; the exit status is then 1. runs/bench/gpu.json grows part by part, also when Ctrl-C or SIGTERM ends the
command. A run with `only` keeps the other parts of the file, and what a part that fails now has measured before. A
table without a row in the file stays as it is. `cache_dir=DIR` names the cache, which is prepared first.
"""

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.gpu import tables
from bench.gpu.findings import Findings, Setting
from bench.gpu.mps import service
from bench.gpu.parts import BUDGET, NAMED, STAGES, Part, Stage
from bench.gpu.scheduling import here, run_stages
from bench.measuring import FOLDER, arguments, machine
from clipgan.config.command_line import messages_not_tracebacks

RECORD = FOLDER / "gpu.json"
TEXTS = {"only": "", "device": "auto", "cache_dir": ""}  # options of words


@messages_not_tracebacks()
def main() -> None:
    """Run the parts, or write the tables."""
    options, words = arguments(__doc__, budget=BUDGET, small=0)
    if words[:1] == ["part"]:
        run_part(words[1], Path(words[-1]), options, _texts(words[2:-1]))
    elif words == ["tables"]:
        print(f"written: {tables.write(json.loads(RECORD.read_text()))}")
    else:
        sys.exit(run(options, _texts(words)))


def _texts(words: list[str]) -> dict[str, str]:
    given = dict(word.partition("=")[::2] for word in words)
    for name in given:
        if name not in TEXTS:
            sys.exit(f"{name} is not allowed: give {', '.join(f'{text}=...' for text in TEXTS)}, budget=N or small=1")
    return TEXTS | given


def run(options: dict[str, int], texts: dict[str, str]) -> int:
    """Run the chosen parts; return the exit status."""
    stages = chosen(texts["only"])
    folder = FOLDER / "gpu"
    folder.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {"parts": {}}
    if texts["only"] and RECORD.exists():
        record = json.loads(RECORD.read_text())
    record |= {"machine": machine(), "arguments": sys.argv[1:]}
    state = {"commit": commit(), "small": bool(options["small"])}

    bad: list[str] = []

    def keep(name: str, found: dict[str, Any]) -> None:
        if found["status"] != "done":
            bad.append(name)
        if found["status"] == "done" or record["parts"].get(name, {}).get("status") != "done":
            record["parts"][name] = found | state | {"gpu": found["found"].pop("gpu", None)}
        save(record)
        print(f"{name:<14} {found['status']:<7} {found['seconds']:>6.1f} s  {found.get('last line', '')}", flush=True)

    @functools.cache
    def shared(stage: Stage) -> dict[str, str]:
        """Each stage has an MPS of its own, which no late client of another one has disturbed."""
        return stack.enter_context(service())

    def start(part: Part) -> list[str]:
        [stage] = [stage for stage in stages if part in stage.parts]
        variables = shared(stage) if part.shares and texts["device"] != "cpu" else {}
        given = [f"{name}={value}" for name, value in texts.items() if value and name != "only"]
        command = here("part", part.name, *given, *(["small=1"] if options["small"] else []))
        return ["env", *(f"{name}={value}" for name, value in variables.items()), *command]

    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    begin = time.monotonic()
    try:
        with contextlib.ExitStack() as stack:
            run_stages(stages, options["budget"], start, folder, keep)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        signal.signal(signal.SIGTERM, before)
    print(f"{time.monotonic() - begin:.0f} s; {RECORD}; not done: {', '.join(bad) or 'none'}")
    if not options["small"]:
        print(f"written: {tables.write(record)}")
    return 1 if bad else 0


def chosen(only: str) -> list[Stage]:
    """Return the stages with the preparation and the named parts; `STAGES` without a name."""
    names = [name for name in only.split(",") if name]
    known = [part.name for stage in NAMED for part in stage.parts]
    for name in names:
        if name not in known:
            sys.exit(f"only={only} is not allowed: {name} is not among {', '.join(known)}")
    stages = [
        Stage(stage.seconds, tuple(part for part in stage.parts if not names or part.name in [*names, "prepare"]))
        for stage in (NAMED if names else STAGES)
    ]
    return [stage for stage in stages if stage.parts]


def run_part(name: str, file: Path, options: dict[str, int], texts: dict[str, str]) -> None:
    """Run one part in this process, once a line has come with the end of its time, in seconds of `time.monotonic`."""
    [part] = [part for stage in NAMED for part in stage.parts if part.name == name]
    compute, found = part.load(), Findings(file)
    line = sys.stdin.readline()
    if not line:
        return
    import torch

    from clipgan.base.device import choose_device
    from clipgan.engine.determinism import deterministic_algorithms, settle_cublas

    deadline = float(line)
    if part.module == "correct":
        settle_cublas()  # before the choice of a GPU, which initialises CUDA
    folder = file.with_suffix("").resolve()
    shutil.rmtree(folder, ignore_errors=True)  # else trainings would resume those of the last time
    folder.mkdir()
    device = choose_device(texts["device"])
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found.put("gpu", {"name": properties.name, "memory_gib": round(properties.total_memory / 2**30),
                          "torch": torch.__version__, "cuda": torch.version.cuda})  # fmt: skip
    with found.attempt(name), deterministic_algorithms(False):
        chosen_device = "cpu" if device.type == "cpu" else texts["device"]
        compute(Setting(chosen_device, bool(options["small"]), texts["cache_dir"] or None, folder, deadline), found)
    if found.failed:
        sys.exit(f"failed: {', '.join(found.failed)}")


def save(record: dict[str, Any]) -> None:
    """Replace the record's file at once, so that it is whole at any time."""
    partial = RECORD.with_suffix(".partial")
    partial.write_text(json.dumps(record, indent=1) + "\n")
    os.replace(partial, RECORD)


def commit() -> str:
    """Return the variable COMMIT, or else the commit of the working tree, with a plus sign if files differ."""
    if "COMMIT" in os.environ:
        return os.environ["COMMIT"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        named = subprocess.run(["git", "describe", "--always", "--dirty=+"], capture_output=True, text=True, check=True)
        return named.stdout.strip()
    return "unknown"


if __name__ == "__main__":
    main()
