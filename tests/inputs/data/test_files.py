"""Folders and the emoji package: captions, splits, and what is said of bad files."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from clipgan.base.errors import UserError
from clipgan.config import DataConfig
from clipgan.inputs.data.formats import emoji
from clipgan.inputs.data.formats.emoji import captions
from clipgan.inputs.data.images import square
from clipgan.inputs.data.loading import load_data


def png(colour, size=(20, 20), mode="RGB"):
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, "PNG")
    return file.getvalue()


def emoji_files(path, cache_dir):
    return emoji.find(path, cache_dir).list().images


@pytest.fixture
def folder(tmp_path):
    """Ten captioned images, one in a subfolder, each of one colour; one has two captions."""
    root = tmp_path / "pictures"
    (root / "deep").mkdir(parents=True)
    for index in range(10):
        place = root / "deep" if index == 3 else root
        (place / f"{index}.png").write_bytes(png((index * 20, 0, 0)))
        (place / f"{index}.txt").write_text(f"red {index * 20}\n" + ("\nor so\n" if index == 5 else ""))
    return root


def config(path, **changes):
    return DataConfig(name="folder", path=str(path), **changes)


def load(path, tmp_path, resolution=16, **changes):
    return load_data(config(path, **changes), resolution, tmp_path / "cache")


def test_images_keep_their_captions(folder, tmp_path):
    data = load(folder, tmp_path, heldout_fraction=0.2)
    assert (len(data.train), len(data.heldout)) == (8, 2)
    seen = set()
    for split in (data.train, data.heldout):
        assert split.images.shape[1:] == (3, 16, 16)
        for image, texts in zip(split.images, split.captions, strict=True):
            assert texts[0] == f"red {image[0, 0, 0]}"
            assert (image[1:] == 0).all()
            seen.add(texts[0])
    assert len(seen) == 10
    assert any(texts == ["red 100", "or so"] for texts in [*data.train.captions, *data.heldout.captions])


def test_a_second_load_packs_nothing_and_a_change_packs_again(folder, tmp_path):
    first = load(folder, tmp_path)
    assert load(folder, tmp_path).fingerprint == first.fingerprint
    assert load(folder, tmp_path, seed=1).fingerprint != first.fingerprint
    assert load(folder, tmp_path, resolution=8).fingerprint != first.fingerprint
    (folder / "0.txt").write_text("something else")
    assert load(folder, tmp_path).fingerprint != first.fingerprint


def test_bad_files_are_skipped_counted_and_named(folder, tmp_path):
    (folder / "1.png").write_bytes(b"this is no picture")
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:40])
    (folder / "4.txt").unlink()
    data = load(folder, tmp_path)
    assert len(data.train) + len(data.heldout) == 7
    assert len(data.train) == len(data.train.captions)
    reasons = {line.split(": ")[0]: line for line in data.skipped}
    assert set(reasons) == {"1.png", "2.png", "4.png"}
    assert "unreadable image" in reasons["1.png"]
    assert "no caption" in reasons["4.png"]


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda root: [path.unlink() for path in sorted(root.rglob("*.txt"))[1:]], ["10 images but 1 with captions"]),
        (lambda root: [path.unlink() for path in root.rglob("*.png")], ["has no image", ".png"]),
        (lambda root: root.rename(root.with_name("gone")), ["does not exist"]),
        (lambda root: [path.write_bytes(b"") for path in root.rglob("*.png")], ["no usable image", "unreadable"]),
    ],
)
def test_nothing_usable_is_one_message(folder, tmp_path, prepare, words):
    prepare(folder)
    with pytest.raises(UserError) as caught:
        load(folder, tmp_path)
    for word in words:
        assert word in str(caught.value)


def test_framing_is_that_of_the_field():
    """Crop the centre as an array, then resize: the two steps of `center-crop` in StyleGAN2-ADA's dataset_tool."""
    pixels = np.random.default_rng(0).integers(0, 256, (41, 64, 3), dtype=np.uint8)
    for image in (pixels, pixels.transpose(1, 0, 2)):
        crop = min(image.shape[:2])
        top, left = (image.shape[0] - crop) // 2, (image.shape[1] - crop) // 2
        cut = Image.fromarray(np.ascontiguousarray(image[top : top + crop, left : left + crop]))
        expected = np.asarray(cut.resize((16, 16), Image.Resampling.LANCZOS))
        np.testing.assert_array_equal(square(Image.fromarray(np.ascontiguousarray(image)), 16), expected)


def test_transparency_lies_on_white_and_the_centre_is_kept():
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert (square(clear, 4) == 255).all()
    wide = np.zeros((4, 12, 3), np.uint8)
    wide[:, 4:8] = 200
    assert (square(Image.fromarray(wide), 4) == 200).all()
    grey = Image.new("L", (5, 5), 77)
    assert (square(grey, 8) == 77).all()


EMOJI = [
    {"name": "GRINNING FACE", "short_name": "grinning", "image": "a.png", "category": "Smileys & Emotion",
     "subcategory": "face-smiling", "has_img_google": True},
    {"name": None, "short_name": "cat_face", "image": "b.png", "category": "Animals & Nature",
     "subcategory": "animal-mammal", "has_img_google": True},
    {"name": "ELSEWHERE", "short_name": "x", "image": "c.png", "category": "C", "subcategory": "s",
     "has_img_google": False},
]  # fmt: skip


def archive(path, extra=()):
    files = {"package/emoji.json": json.dumps(EMOJI).encode(), "package/LICENSE": b"Apache-2.0"}
    files |= {f"package/img/google/64/{name}.png": png((9, 9, 9, 255), (64, 64), "RGBA") for name in "ab"}
    with tarfile.open(path, "w:gz") as tar:
        for name, content in [*files.items(), *extra]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_a_folder_without_any_caption_keeps_its_images(folder, tmp_path):
    for path in folder.rglob("*.txt"):
        path.unlink()
    data = load(folder, tmp_path)
    assert len(data.train) + len(data.heldout) == 10
    assert not any([*data.train.captions, *data.heldout.captions])
    assert data.skipped == []


def test_emoji_captions_are_name_and_group():
    assert captions(EMOJI[0]) == ["grinning face", "grinning face, smileys & emotion, face smiling"]
    assert captions(EMOJI[1])[0] == "cat face"


def test_emoji_from_a_package_file(tmp_path):
    files = emoji_files(str(archive(tmp_path / "emoji.tgz")), tmp_path / "cache")
    assert [file.name for file in files] == ["img/google/64/a.png", "img/google/64/b.png"]
    [unpacked] = [path.parent for path in tmp_path.glob("cache/downloads/*/emoji.json")]
    assert [file.captions for file in emoji_files(str(unpacked), tmp_path)] == [file.captions for file in files]


def test_an_archive_cannot_write_outside(tmp_path):
    path = archive(tmp_path / "emoji.tgz", [("package/img/google/64/../../../../../evil.txt", b"evil")])
    with pytest.raises(UserError, match="outside"):
        emoji_files(str(path), tmp_path / "cache")
    assert not list(tmp_path.rglob("evil.txt"))


def test_an_archive_with_a_link_is_refused(tmp_path):
    path = archive(tmp_path / "emoji.tgz")
    with tarfile.open(tmp_path / "linked.tgz", "w:gz") as tar, tarfile.open(path) as old:
        for member in old:
            tar.addfile(member, old.extractfile(member))
        link = tarfile.TarInfo("package/img/google/64/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(UserError, match=r"link\.png is a link or a device"):
        emoji_files(str(tmp_path / "linked.tgz"), tmp_path / "cache")


@pytest.mark.parametrize(("name", "words"), [("gone.tgz", "does not exist"), ("text.tgz", "is not emoji-datasource")])
def test_a_wrong_emoji_path_is_one_message(tmp_path, name, words):
    (tmp_path / "text.tgz").write_text("no archive")
    with pytest.raises(UserError, match=words):
        emoji_files(str(tmp_path / name), tmp_path / "cache")


def test_where_npm_fails_the_message_says_why(tmp_path, monkeypatch):
    npm = tmp_path / "npm"
    npm.write_text(
        '#!/bin/sh\ncase "$*" in *--silent*) exit 1; esac\n'  # as npm 11, which says nothing then
        "echo 'npm error code ECONNREFUSED' >&2\n"
        "echo 'npm error FetchError: request to http://me:secret@a/b failed, reason: connect' >&2\n"
        "echo 'npm error A complete log of this run can be found in: x' >&2\nexit 1\n"
    )
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        UserError, match=r"failed: FetchError: request to \S*@a/b failed, reason: connect; try"
    ) as refused:
        emoji_files(None, tmp_path / "cache")
    assert "secret" not in str(refused.value)


def test_without_npm_the_message_says_what_to_give(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"npm, which is not installed.*data\.path=FILE\.tgz"):
        emoji_files(None, tmp_path / "cache")


def test_a_folder_that_is_no_package(tmp_path):
    with pytest.raises(UserError, match=r"emoji\.json cannot be read"):
        emoji_files(str(tmp_path), tmp_path / "cache")


def test_sixteen_bits_of_grey_keep_their_range():
    grey = Image.fromarray(np.full((8, 8), 20000, dtype=np.uint16))
    assert (square(grey, 8) == 20000 // 257).all()
    with pytest.raises(ValueError, match="mode F"):
        square(Image.fromarray(np.ones((8, 8), dtype=np.float32)), 8)
