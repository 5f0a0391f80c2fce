"""The results of an evaluation: a table, metrics.json, curves against kimg, and MLflow."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from clipgan.base.console import console
from clipgan.base.durable_files import replace_text
from clipgan.base.errors import UserError
from clipgan.base.secrets import without_passwords
from clipgan.base.text import first_line
from clipgan.engine.mlflow_checkpoint import refuse_missing_database
from clipgan.evaluating.measuring import Measured
from clipgan.tracking.mlflow_run import log_metrics

JSON_FILE, CURVES_FILE = "metrics.json", "curves.html"
COLUMNS = 2  # panels in a row of the curves


def metrics_table(found: Sequence[Measured]) -> Table:
    """Make a table with a row for each metric, and a column for each generator or set of pictures."""
    table = Table()
    table.add_column("metric")
    for each in found:
        table.add_column(each.source if each.kimg is None else f"{each.kimg:g} kimg", justify="right")
    for name in dict.fromkeys(name for each in found for name in each.metrics):
        table.add_row(name, *(f"{each.metrics[name]:.6g}" if name in each.metrics else "" for each in found))
    return table


def write_results(found: Sequence[Measured], folder: Path) -> list[Path]:
    """Write `metrics.json`, and `curves.html` of several checkpoints; return the files.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / JSON_FILE]
    replace_text(files[0], json.dumps({"evaluations": [asdict(each) for each in found]}, indent=1) + "\n")
    if len([each for each in found if each.kimg is not None]) > 1:
        files.append(folder / CURVES_FILE)
        write_curves(found, files[-1])
    return files


def write_curves(found: Sequence[Measured], path: Path) -> None:
    """Draw each metric against kimg, as a page that needs no network."""
    from plotly.graph_objects import Scatter
    from plotly.subplots import make_subplots

    trained = sorted((each for each in found if each.kimg is not None), key=lambda each: each.kimg or 0)
    names = list(dict.fromkeys(name for each in trained for name in each.metrics if not name.endswith("_sd")))
    rows = -(-len(names) // COLUMNS)
    figure = make_subplots(rows, COLUMNS, subplot_titles=names)
    for place, name in enumerate(names):
        points = [(each.kimg, each.metrics[name], each.source) for each in trained if name in each.metrics]
        kimg, values, sources = zip(*points, strict=True)
        deviations = [each.metrics.get(f"{name}_sd") for each in trained if name in each.metrics]
        bars = {"type": "data", "array": deviations} if None not in deviations else None
        line = Scatter(x=kimg, y=values, text=sources, error_y=bars, name=name, mode="lines+markers")
        figure.add_trace(line, place // COLUMNS + 1, place % COLUMNS + 1)
    figure.update_xaxes(title="kimg", rangemode="tozero")
    runs = ", ".join(dict.fromkeys(each.source.rpartition("-checkpoint-")[0] or each.source for each in trained))
    title = f"{runs}; of FID, FJD, KID, FD and CMMD, less is better"
    figure.update_layout(template="plotly_white", showlegend=False, height=320 * rows + 60, title=title)
    replace_text(path, figure.to_html(include_plotlyjs=True))


def log_to_mlflow(measured: Measured, run_id: str, uri: str) -> None:
    """Log the metrics to a run, at the generator's kimg; if MLflow fails, say so: the values are in metrics.json."""
    try:
        refuse_missing_database(uri, f"the metrics of run {run_id} are not logged")
        log_metrics(uri, run_id, measured.metrics, round(measured.kimg or 0))
    except UserError as error:
        console.print(str(error))
    except Exception as error:  # any error of a driver or transport
        reason = without_passwords(f"MLflow at {uri} did not take the metrics of run {run_id}: {first_line(error)}")
        console.print(reason)
