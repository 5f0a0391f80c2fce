"""List, show, export, rename and delete studies: python -m sweeps.studies COMMAND [STUDY] [--storage URL]."""

import argparse
from pathlib import Path

from clipgan.base.durable_files import replace_text
from sweeps.base.errors import SweepError
from sweeps.command.study_options import add_pictures, add_storage, file_name, one_message, program


def main() -> None:
    """Run one command, or end with one message."""
    arguments = vars(_parser().parse_args())
    run, option = arguments.pop("run"), arguments.pop("option", "--out FILE")
    with one_message(option):
        run(**arguments)


def list_studies(storage: str) -> None:
    """Print a table of all studies."""
    from sweeps.studies.showing import print_list

    print_list(storage)


def show(storage: str, study: str | None) -> None:
    """Print a study as its sweep does at its end, and how to go on."""
    from sweeps.studies.showing import print_one

    print_one(storage, study)


def export(storage: str, study: str | None, out: Path | None) -> None:
    """Write all trials of a study as CSV or Parquet.

    Raises:
        SweepError: there is no such study, the file's name has another ending, or pyarrow is missing.
        OSError: the file cannot be written.
    """
    from sweeps.report.all_trials import trials_csv, write_parquet
    from sweeps.report.reading import read

    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise SweepError(f"--out {out} is not allowed: it must end in .csv or .parquet")
    sweep = read(storage, study)
    path = out or Path(f"{file_name(sweep.name)}.csv")
    if path.suffix == ".parquet":
        write_parquet(sweep, path)
    else:
        replace_text(path, trials_csv(sweep))
    print(path)


def pictures(storage: str, study: str | None, to: Path, pictures: str) -> None:
    """Copy the newest picture of each trial to where optuna-dashboard shows it beside the trial.

    Raises:
        SweepError: there is no such study.
        OSError: a picture cannot be written.
    """
    from sweeps.studies.dashboard import attach_pictures

    attach_pictures(storage, study, to, pictures)


def rename(storage: str, study: str, new: str) -> None:
    """Give a study another name.

    Raises:
        SweepError: there is no such study, a process runs it, or the name is taken.
    """
    from sweeps.studies.rename_delete import rename_one

    rename_one(storage, study, new)


def delete(storage: str, study: str, yes: bool) -> None:
    """Delete a study from its storage, after a question on a terminal.

    Raises:
        SweepError: there is no such study, a process runs it, or nobody can answer the question.
    """
    from sweeps.studies.rename_delete import delete_one

    delete_one(storage, study, yes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("sweeps.studies"), description="Commands for the studies of a storage."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str, study: str | None = None) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        added.set_defaults(run=run)
        if study is not None:
            added.add_argument("study", nargs=study or None, help="name of the study")
        add_storage(added)
        return added

    only = "?"  # a storage with one study needs no name
    command("list", list_studies, "print a table of all studies")
    command("show", show, "print the trials of a study, its best point and how to go on", only)
    exported = command("export", export, "write all trials of a study as CSV or Parquet", only)
    exported.add_argument("--out", type=Path, metavar="FILE", help="a .csv or .parquet file; default: STUDY.csv")
    shown = command("pictures", pictures, "let optuna-dashboard show the newest picture of each trial", only)
    shown.add_argument("--to", type=Path, default=Path("artifacts"), metavar="FOLDER", help="default: %(default)s")
    shown.set_defaults(option="--to FOLDER")
    add_pictures(shown)
    renamed = command("rename", rename, "give a study another name; its command and its folder stay", "")
    renamed.add_argument("new", help="the new name")
    deleted = command("delete", delete, "delete a study from the storage; its run directories stay", "")
    deleted.add_argument("--yes", action="store_true", help="do not ask")
    return parser


if __name__ == "__main__":
    main()
