"""Write a study as a page, a table and a CSV file: python -m sweeps.report STUDY [--storage URL] [--out FILE.html]."""

import argparse
from pathlib import Path

from clipgan.base.durable_files import replace_text
from sweeps.base.errors import SweepError
from sweeps.command.study_options import add_pictures, add_storage, file_name, one_message, program


def main() -> None:
    """Write the files, or end with one message."""
    arguments = _parser().parse_args()
    with one_message("--out FILE.html"):
        files = write(arguments.study, arguments.storage, arguments.out, arguments.pictures, arguments.csv)
    print("\n".join(map(str, files)))


def write(study: str | None, storage: str, out: Path | None, pictures: str, only_csv: bool = False) -> list[Path]:
    """Write the page, the table and the CSV file of all trials, or this file alone, and return their paths.

    Raises:
        SweepError: there is no such study, or `out` is no .html file.
        OSError: a file cannot be written.
    """
    from sweeps.report.all_trials import trials_csv
    from sweeps.report.reading import read

    sweep = read(storage, study)
    if out is not None and out.suffix not in (".html", ".htm"):
        raise SweepError(f"--out {out} is not allowed: the page is a .html file; .md and .csv go beside it")
    page = out or Path(f"report-{file_name(sweep.name)}.html")
    table, trials = page.with_suffix(".md"), page.with_suffix(".csv")
    replace_text(trials, trials_csv(sweep))
    if only_csv:
        return [trials]
    from sweeps.report.markdown import markdown
    from sweeps.report.page import render  # draws, and so takes seconds to import

    replace_text(page, render(sweep, pictures, page))
    replace_text(table, markdown(sweep))
    return [page, table, trials]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("sweeps.report"), description="Write a study as an HTML page, a Markdown table and a CSV file."
    )
    parser.add_argument("study", nargs="?", help="name of the study; you may omit it if the storage has only one")
    add_storage(parser)
    parser.add_argument("--out", type=Path, metavar="FILE.html", help="default: report-STUDY.html in this folder")
    parser.add_argument("--csv", action="store_true", help="write only the CSV file, with a row for each trial")
    add_pictures(parser)
    return parser


if __name__ == "__main__":
    main()
