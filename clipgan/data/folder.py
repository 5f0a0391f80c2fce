"""`data=folder`: images anywhere below a folder, each with a text file beside it, one caption a line."""

from pathlib import Path

from clipgan.data.files import CaptionedFile
from clipgan.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def captioned_files(folder: Path) -> list[CaptionedFile]:
    """The images below `folder`, sorted by path.

    Args:
        folder: holds `NAME.png` (or another of `SUFFIXES`) beside `NAME.txt`, at any depth.

    Raises:
        UserError: the folder is missing, has no image, or no image has a caption.
    """
    if not folder.is_dir():
        raise UserError(f"data.path={folder} is no folder; give one with images and a .txt beside each")
    images = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not images:
        raise UserError(f"data.path={folder} has no image ({', '.join(SUFFIXES)})")
    files = [CaptionedFile(image, read_captions(image.with_suffix(".txt"))) for image in images]
    captioned = sum(bool(file.captions) for file in files)
    if captioned < 2:
        raise UserError(
            f"data.path={folder} has {len(images)} images but {captioned} with captions; "
            f"put captions into a text file beside each, one a line: {images[0].with_suffix('.txt').name}"
        )
    return files


def read_captions(path: Path) -> list[str]:
    """The non-empty lines of a text file; none if it is missing."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip()]
