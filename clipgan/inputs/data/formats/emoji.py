"""`data=emoji`: Google's emoji at 64 x 64 from the npm package emoji-datasource-google (images Apache-2.0)."""

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

from clipgan.base import lookup
from clipgan.base.cache import cache_entry
from clipgan.base.console import console
from clipgan.base.errors import UserError
from clipgan.base.secrets import without_passwords
from clipgan.inputs.data.archives import LimitedHeader, check_member
from clipgan.inputs.data.files import Found, Listing, found
from clipgan.inputs.data.images import image_file

PACKAGE = "emoji-datasource-google@16.0.0"
IMAGES = "img/google/64"


def find(path: str | None, cache_dir: Path) -> Found:
    """Find the base emoji, with names and categories as captions, in the package's order.

    Args:
        path: the package, as the .tgz that `npm pack` writes or as an unpacked folder; None: npm fetches it once.
        cache_dir: where the unpacked package is kept.

    Raises:
        UserError: the package is missing or incomplete, or npm is not installed.
    """
    package = _package(path, cache_dir)
    try:
        entries = json.loads((package / "emoji.json").read_text(encoding="utf-8"))
        files = [(package / IMAGES / entry["image"], captions(entry)) for entry in entries if entry["has_img_google"]]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"data.path={path} is not {PACKAGE}: emoji.json cannot be read ({error})") from error
    missing = [path for path, _ in files if not lookup.is_file(path)]
    if missing or len(files) < 2:
        raise UserError(f"data.path={path} is not {PACKAGE}: {len(missing)} of its {len(files)} images are missing")
    return found(Listing([image_file(path, path.relative_to(package).as_posix(), texts) for path, texts in files]))


def captions(entry: dict) -> list[str]:
    """Return name, and name with group: `grinning face`, `grinning face, smileys & emotion, face smiling`."""
    name = (entry["name"] or entry["short_name"]).replace("_", " ").lower()
    group = f"{entry['category']}, {entry['subcategory']}".replace("-", " ").lower()
    return [name, f"{name}, {group}"]


def _package(path: str | None, cache_dir: Path) -> Path:
    if path is None:
        return cache_entry(cache_dir, "downloads", {"npm": PACKAGE}, _fetch)
    given = Path(path)
    if lookup.is_dir(given):
        return given
    if not lookup.is_file(given):
        raise UserError(f"data.path={path} does not exist; give {PACKAGE} as a .tgz or a folder, or null for npm")
    stat = given.stat()
    description = {"file": str(given.resolve()), "size": stat.st_size, "time": stat.st_mtime_ns}
    return cache_entry(cache_dir, "downloads", description, lambda directory: _unpack(given, directory))


def _fetch(directory: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            f"data=emoji fetches {PACKAGE} with npm, which is not installed: install it "
            "(apt-get install npm), or give the package with data.path=FILE.tgz"
        )
    console.print(f"fetching {PACKAGE} with npm (74 MB)")
    result = subprocess.run(
        [npm, "pack", "--loglevel=error", PACKAGE], cwd=directory, capture_output=True, text=True, check=False
    )  # with --silent, it would not say why it fails
    archives = list(directory.glob("*.tgz"))
    if result.returncode or not archives:
        lines = [line.removeprefix("npm error ").removeprefix("npm ERR! ") for line in result.stderr.splitlines()]
        said = [line for line in lines if len(line.split()) > 4] or lines or ["no message"]  # codes stand before it
        raise UserError(
            f"npm pack {PACKAGE} failed: {without_passwords(said[0])}; try again, or give the package with"
            " data.path=FILE.tgz"
        )
    _unpack(archives[0], directory)
    archives[0].unlink()


def _unpack(archive: Path, directory: Path) -> None:
    """Unpack the 64-pixel images and the texts; tarfile's own filters need Python 3.11.4."""
    wanted = ("package/emoji.json", "package/LICENSE", f"package/{IMAGES}/")
    try:
        with tarfile.open(archive, tarinfo=LimitedHeader) as tar:
            for member in tar:
                if not member.name.startswith(wanted):
                    continue
                check_member(archive, member.name, plain=member.isreg() or member.isdir())
                if (content := tar.extractfile(member)) is not None:  # a file
                    path = directory / member.name.removeprefix("package/")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with content, path.open("wb") as file:
                        shutil.copyfileobj(content, file)
    except (tarfile.TarError, OSError) as error:
        raise UserError(f"{archive} is not {PACKAGE}: {error}") from error
