"""Compare the output of a foreign Hydra app in two environments: python look.py PYTHON_WITHOUT PYTHON_WITH.

In the second one clipgan's wheel is installed. The script prints a difference, and then ends with status 1.
"""

import difflib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

APP = Path(__file__).with_name("app.py")
COMMANDS = (
    ("--info", "searchpath"),
    ("--help",),
    ("--cfg", "all"),
    ("x=3",),
    ("-m", "x=1,2", "db=small,large"),
)
TIME = re.compile(r"\d{4}-\d\d-\d\d([ _/]\d\d[:-]\d\d[:-]\d\d(,\d+)?)?")


def look(python: str) -> str:
    """All that the app prints, and all files that it leaves, with TIME in place of each time and CWD of the folder."""
    seen: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS:
            done = subprocess.run(
                [python, str(APP), *command], cwd=folder, capture_output=True, text=True, timeout=60, check=False
            )
            seen += [f"== {' '.join(command)}: status {done.returncode}", done.stdout, done.stderr]
        for path in sorted(Path(folder).rglob("*")):
            seen.append(f"== {path.relative_to(folder)}")
            if path.is_file():
                seen.append(path.read_text())
        text = "\n".join(seen).replace(str(Path(folder).resolve()), "CWD").replace(folder, "CWD")
    return TIME.sub("TIME", text)


def plugins(python: str) -> str:
    """What Hydra says of its plug-ins."""
    command = [python, str(APP), "--info", "plugins"]
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=True).stdout


def difference(python: str, other: str) -> list[str]:
    """The lines that differ."""
    return list(difflib.unified_diff(look(python).splitlines(), look(other).splitlines(), python, other, "", "", 1, ""))


if __name__ == "__main__":
    without_it, with_it = (str(Path(python).absolute()) for python in sys.argv[1:3])
    found = difference(without_it, with_it)
    print("\n".join(found))
    sys.exit(bool(found) or "StudySweeper" not in plugins(with_it))
