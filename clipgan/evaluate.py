"""Measure a trained generator, or pictures in a folder or ZIP archive, by any metrics.

python -m clipgan.evaluate run=RUN_ID
python -m clipgan.evaluate ckpt=FILE metrics=[fid,kid,precision_recall,density_coverage] protocol=fid30k_coco
python -m clipgan.evaluate images=FOLDER captions=FILE metrics=[fid,clip_score] clip@metrics.judge=ViT-B32 data=coco ...

run=RUN_ID | ckpt=FILE,... | images=FOLDER|ZIP   exactly one of: an MLflow run, checkpoint files, pictures
snapshots=all             with run: all checkpoints in its directory, not its last one
captions=FILE             with images: their captions, in the order of the images' names (.txt: one a line; .csv: the
                          column caption). Pictures of clipgan.sample bring their own
prompts=TEXT;TEXT | FILE  with run or ckpt: measure the pictures that clipgan.sample draws of these prompts
seeds=0-7                 with prompts: their seeds
metrics=[fid,kid]         the metrics; default: those that the end of a training has
protocol=NAME             an option of conf/metrics; default: the run's own
hydra.searchpath=[file://FOLDER]   a folder of your own configuration files, for protocol=NAME and other options
out=FOLDER                default: a new folder in evaluations/, named after the checkpoint

All other settings are those of train.py, and change those of the run: metrics.n_images=N, data.path=DIR,
clip@metrics.judge=NAME, metrics.inception_weights=FILE, device, processes, cache_dir, mlflow.tracking_uri ...
Metrics are printed, written to metrics.json, drawn against kimg for several checkpoints (curves.html), and logged to
the MLflow run. A killed command goes on where it was when it is given again.
"""

import sys
from functools import partial
from pathlib import Path

from clipgan.base import out_of_memory
from clipgan.base.console import console
from clipgan.config.command_line import helped, messages_not_tracebacks
from clipgan.evaluating.options import EvaluateOptions, parse


def main() -> None:
    """Run the command line."""
    if helped(__doc__):
        return
    with messages_not_tracebacks("out"), out_of_memory.told("a smaller metrics.batch needs less"):
        evaluate(parse(sys.argv[1:]))


def evaluate(options: EvaluateOptions) -> None:
    """Measure, print the table, and write the results.

    Raises:
        UserError: a source, data or weights are missing, or do not fit the metrics.
        OSError: the folder of the results cannot be written.
    """
    from clipgan.engine.start_processes import further_processes, spread
    from clipgan.evaluating.command import find_job, run_job
    from clipgan.evaluating.results import log_to_mlflow, metrics_table, write_results

    job = find_job(options)
    config = spread(job.configs[0])
    with further_processes(config, Path(), partial(run_job, job)):
        found = run_job(job, config, Path())
    console.print(metrics_table(found))
    for measured, run in zip(found, job.runs, strict=True):
        if run is not None and measured.compares:
            log_to_mlflow(measured, *run)
        elif run is not None:
            why = "data, judge or prompts are not those of the training"
            console.print(f"{measured.source}: MLflow gets no metric, as {why}")
    for file in write_results(found, job.out):
        console.print(f"written: {file}")


if __name__ == "__main__":
    main()
