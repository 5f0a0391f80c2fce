"""Write a study as a page, a table and a CSV file: python -m sweeps.report STUDY [--storage URL] [--out FILE.html]."""

import argparse
import os
import re
import sys
from pathlib import Path

from clipgan.base.text import printable
from sweeps.base.errors import SweepError


def main() -> None:
    """Write the files, or end with one message."""
    arguments = _parser().parse_args()
    try:
        files = write(arguments.study, arguments.storage, arguments.out, arguments.pictures, arguments.csv)
    except SweepError as error:
        sys.exit(printable(str(error)))
    except OSError as error:
        sys.exit(
            printable(f"{error.filename} cannot be written ({error.strerror}); choose another with --out FILE.html")
        )
    print("\n".join(map(str, files)))


def write(study: str | None, storage: str, out: Path | None, pictures: str, only_csv: bool = False) -> list[Path]:
    """Write the page, the table and the CSV file of all trials, or this file alone, and return their paths.

    Raises:
        SweepError: there is no such study, or `out` is no .html file.
        OSError: a file cannot be written.
    """
    from sweeps.report.reading import read
    from sweeps.report.trials_csv import trials_csv

    sweep = read(storage, study)
    safe_name = re.sub(r"[^\w.-]+", "_", sweep.name)
    if out is not None and out.suffix not in (".html", ".htm"):
        raise SweepError(f"--out {out} is not allowed: the page is a .html file; .md and .csv go beside it")
    page = out or Path(f"report-{safe_name}.html")
    table, trials = page.with_suffix(".md"), page.with_suffix(".csv")
    trials.write_text(trials_csv(sweep), encoding="utf-8")
    if only_csv:
        return [trials]
    from sweeps.report.markdown import markdown
    from sweeps.report.page import render  # draws, and so takes seconds to import

    page.write_text(render(sweep, pictures, page), encoding="utf-8")
    table.write_text(markdown(sweep), encoding="utf-8")
    return [page, table, trials]


def _parser() -> argparse.ArgumentParser:
    started = Path(sys.argv[0]).name  # clipgan-report, where pip has installed it
    prog = "python -m sweeps.report" if started == "__main__.py" else started
    parser = argparse.ArgumentParser(
        prog=prog, description="Write a study as an HTML page, a Markdown table and a CSV file."
    )
    parser.add_argument("study", nargs="?", help="name of the study; you may omit it if the storage has only one")
    parser.add_argument(
        "--storage",
        default=os.environ.get("SWEEPS_STORAGE", "sqlite:///sweeps.db"),
        help="URL of the database, as in hydra.sweeper.storage; default: the environment variable SWEEPS_STORAGE,"
        " which keeps a password off the command line, or else sqlite:///sweeps.db",
    )
    parser.add_argument("--out", type=Path, metavar="FILE.html", help="default: report-STUDY.html in this folder")
    parser.add_argument("--csv", action="store_true", help="write only the CSV file, with a row for each trial")
    parser.add_argument(
        "--pictures",
        default="samples-*.png",
        metavar="GLOB",
        help="names of pictures in a run directory; the page shows the newest; default: %(default)s",
    )
    return parser


if __name__ == "__main__":
    main()
