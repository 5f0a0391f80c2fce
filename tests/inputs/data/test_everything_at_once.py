"""A folder of a thousand files with every fault at once: what is packed, and what the summary says of the rest."""

import json
import os
import re

import pytest

from clipgan.inputs.data.summary import report_files
from tests.inputs.data.packs import everything, load, of
from tests.inputs.data.samples import picture, put
from tests.inputs.data.test_pixels import photo

PLAIN = 480  # captioned images without a fault, in train/


@pytest.fixture
def root(tmp_path):
    """train/ and Test/ beside other folders; image k of samples.py has the caption `number k`."""
    root, train = tmp_path / "set", tmp_path / "set" / "Train"
    for n in range(PLAIN):
        put(train / f"{n % 7}" / f"{n}.png", picture(n % 25, size=(9, 9)))
        put(train / f"{n % 7}" / f"{n}.txt", f"number {n % 25}\n")
    for n in range(12):
        put(root / "Test" / f"{n}.JPG", picture(n, "JPEG"))
        put(root / "Test" / f"{n}.txt", f"number {n}\r\n")
    odd = train / "odd"
    for n in range(10):
        put(odd / f"broken{n}.png", picture(n)[:50])
        put(odd / f"broken{n}.txt", "broken")
        put(odd / f"silent{n}.png", picture(n))
        put(odd / f"latin{n}.png", picture(n))
        put(odd / f"latin{n}.txt", "grün".encode("latin-1"))
        put(odd / f"IMG_{n}.HEIC", b"\0\0\0\x18ftypheic")
        put(root / "extra" / f"{n}.png", picture(n))
        put(odd / f"._{n}.png", b"\0\5\x16\7")
    for name in ("Thumbs.db", ".DS_Store", "notes.md", "orphan.txt"):
        put(odd / name, "x")
    put(odd / "sideways.jpg", photo("JPEG", 6, 0)[0])
    put(odd / "sideways.txt", "sideways")
    put(odd / "utf16.gif", picture(3, "GIF"))
    put(odd / "utf16.txt", "number 3".encode("utf-16"))
    (odd / "gone.png").symlink_to("nowhere")
    (odd / "round").symlink_to(root)
    put(tmp_path / "elsewhere" / "0.png", picture(4))
    put(tmp_path / "elsewhere" / "0.txt", "number 4")
    (train / "linked").symlink_to(tmp_path / "elsewhere")
    with open(os.path.join(os.fsencode(odd), b"caf\xe9.png"), "wb") as file:
        file.write(b"no image")
    return root


def test_a_thousand_files_with_every_fault(root, tmp_path, capsys):
    assert sum(len(files) for _, _, files in os.walk(root)) > 1000
    data = load("folder", root, tmp_path)
    assert (len(data.train), len(data.heldout)) == (PLAIN + 3, 12)
    assert of(data.heldout) == {n: [f"number {n}"] for n in range(12)}
    for k, captions in everything(data).items():
        assert captions in ([f"number {k}"], ["sideways"])
    names = {json.loads(line) for line in data.train.names.open(encoding="utf-8")}
    assert {"Train/odd/sideways.jpg", "Train/odd/utf16.gif", "Train/linked/0.png"} < names
    capsys.readouterr()
    report_files(data)
    *said, repeated = capsys.readouterr().out.splitlines()
    assert re.match(
        r"data: 4\d\d packed images repeat an earlier one of either split, and stay in; pixels are compared as packed, "
        r"at 16 x 16; \d+ of them held-out, repeating a training image \(", repeated
    )  # fmt: skip
    lines = [line for line in said if not line.startswith("data: left out, by reason (")]
    [broken] = [line for line in lines if "unreadable image" in line]
    assert re.match(r"  10 unreadable images: Train/odd/broken0\.png \(.*\), .*broken2\.png.*, and 7 more$", broken)
    assert [line for line in lines if line != broken] == [
        f"data: packed are {PLAIN + 3} training images with {PLAIN + 3} captions "
        "and 12 held-out images with 12 captions",
        "data: training images are those of Train/, held-out images those of Test/",
        "data: followed: 1 link to a folder",
        "data: images are turned upright (EXIF), converted to RGB (transparent parts white), cropped to the middle "
        "square and resized to 16 x 16 pixels",
        "  12 hidden files and folders, or a system's own: Train/odd/.DS_Store, Train/odd/._0.png, Train/odd/._1.png, "
        "and 9 more",
        "  11 files that are no images Pillow can open (10 .heic, 1 .md): Train/odd/IMG_0.HEIC, Train/odd/notes.md, "
        "Train/odd/IMG_1.HEIC, and 8 more; convert .heic to .jpg first (ImageMagick: magick mogrify -format jpg FILES)",
        "  11 images without a caption file: Train/odd/caf\\udce9.png, Train/odd/silent0.png, Train/odd/silent1.png, "
        "and 8 more",
        "  10 images are left out, as their captions cannot be read: Train/odd/latin0.txt of latin0.png (byte 0xfc is "
        "not utf-8; data.encoding=latin-1, for example, reads all texts so), Train/odd/latin1.txt of latin1.png, "
        "Train/odd/latin2.txt of latin2.png, and 7 more",
        "  10 images outside of the splits: 10 in extra/",
        "  1 link whose target is missing: Train/odd/gone.png",
        "  1 link back to a folder above it, which is not followed: Train/odd/round",
        "  1 text without an image of its name: Train/odd/orphan.txt",
    ]
    assert len(data.skipped) == 12 + 11 + 11 + 10 + 10 + 10 + 3  # skipped.txt lists every one


def test_an_empty_caption_file_is_told_from_a_missing_one(tmp_path):
    root = tmp_path / "set"
    for n in range(4):
        put(root / f"{n}.png", picture(n))
    put(root / "0.txt", "number 0")
    put(root / "1.txt", "number 1")
    put(root / "2.txt", " \n")
    assert load("folder", root, tmp_path).skipped == ["2.png: its caption file is empty", "3.png: no caption file"]
