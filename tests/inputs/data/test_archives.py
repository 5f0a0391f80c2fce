"""Tar shards and LAFITE's zips: read where they lie, refused if they lead outside, damaged members named."""

import io
import json
import tarfile
import zipfile

import numpy as np
import pytest

from clipgan.base.errors import UserError
from tests.inputs.data import samples
from tests.inputs.data.packs import everything, load
from tests.inputs.data.samples import add, number, picture, put


def test_shards(tmp_path):
    data = load("webdataset", samples.img2dataset(tmp_path / "set"), tmp_path, heldout_fraction=0.2)
    assert (len(data.train), len(data.heldout)) == (8, 2)
    assert everything(data) == {k: [f"number {k}"] for k in range(10)}
    assert data.skipped == []
    one = load("webdataset", tmp_path / "set" / "00001.tar", tmp_path)
    assert everything(one) == {k: [f"number {k}"] for k in range(5, 10)}


def test_bad_samples_are_named(tmp_path):
    samples.img2dataset(tmp_path / "set", shards=1)
    with tarfile.open(tmp_path / "set" / "00001.tar", "w") as tar:
        add(tar, "a.jpg", picture(6, "JPEG"))
        add(tar, "a.txt", b"\n")
        add(tar, "b.jpg", picture(7, "JPEG")[:200])
        add(tar, "b.txt", b"cut")
        add(tar, "c.txt", b"no picture")
        add(tar, "d.png", picture(8))
        add(tar, "d.json", b"{")
        add(tar, "e.png", picture(9))
        add(tar, "e.txt", b"twice\nin two lines")
        add(tar, "e.txt", b"second")
    data = load("webdataset", tmp_path / "set", tmp_path)
    assert everything(data) == {k: [f"number {k}"] for k in range(5)} | {9: ["twice in two lines"]}
    skipped = sorted(data.skipped)
    assert skipped[0] == "00001.tar/a.jpg: no caption"
    assert skipped[1].startswith("00001.tar/b.jpg: unreadable image (")
    assert skipped[2] == "00001.tar/c: no image (it has .txt)"
    assert skipped[3].startswith("00001.tar/d: captions cannot be read (")
    assert skipped[4] == "00001.tar/e.txt: the shard already has a file of this name"


def test_a_shard_that_ends_early(tmp_path):
    shard = samples.img2dataset(tmp_path / "set") / "00001.tar"
    content = shard.read_bytes()
    with tarfile.open(shard) as tar:
        third = tar.getmembers()[5]  # the image of the third sample
    shard.write_bytes(content[: third.offset_data + 100])
    data = load("webdataset", tmp_path / "set", tmp_path)
    assert set(everything(data)) == {0, 1, 2, 3, 4, 5, 6}
    assert any("00001.tar: the shard ends early" in line for line in data.skipped)


def test_a_shard_that_ends_between_two_samples(tmp_path):
    """tarfile takes a cut header for the end of the archive, and says nothing."""
    shard = samples.img2dataset(tmp_path / "set") / "00001.tar"
    content = shard.read_bytes()
    with tarfile.open(shard) as tar:
        third = tar.getmembers()[6]
    shard.write_bytes(content[: third.offset + 100])
    data = load("webdataset", tmp_path / "set", tmp_path)
    assert set(everything(data)) == {0, 1, 2, 3, 4, 5, 6}
    assert any(
        "00001.tar: the shard ends early (everything after its 6 members is missing)" in line for line in data.skipped
    )


@pytest.mark.parametrize(
    ("name", "kind", "link", "words"),
    [
        ("../evil.jpg", tarfile.REGTYPE, "", "leads outside"),
        ("/etc/evil.jpg", tarfile.REGTYPE, "", "leads outside"),
        ("a/..\\..\\evil.jpg", tarfile.REGTYPE, "", "leads outside"),
        ("a.jpg", tarfile.SYMTYPE, "/etc/passwd", "a link or a device"),
        ("a.jpg", tarfile.LNKTYPE, "000000000.jpg", "a link or a device"),
        ("a.jpg", tarfile.FIFOTYPE, "", "a link or a device"),
    ],
)
def test_a_tar_that_leads_outside_is_refused(tmp_path, name, kind, link, words):
    root = samples.img2dataset(tmp_path / "set")
    with tarfile.open(root / "00002.tar", "w") as tar:
        add(tar, name, picture(1, "JPEG") if kind == tarfile.REGTYPE else b"", kind, link)
    with pytest.raises(UserError, match=rf"00002\.tar is refused: its member .* {words}"):
        load("webdataset", root, tmp_path)
    assert not list(tmp_path.rglob("evil*"))


def test_a_tar_that_is_none(tmp_path):
    with pytest.raises(UserError, match=r"has no \.tar; give a folder"):
        load("webdataset", tmp_path, tmp_path)
    with tarfile.open(tmp_path / "0.tar", "w:gz") as tar:
        add(tar, "a.jpg", picture(1))
    with pytest.raises(UserError, match=r"no shard .* read: 0\.tar: not an uncompressed tar; decompress .* \(.*\)"):
        load("webdataset", tmp_path, tmp_path)


def test_a_stray_text_in_lafites_zip_makes_no_words(tmp_path):
    path = samples.lafite_zip(tmp_path / "train.zip", words=False)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("README.txt", "about this set")
    test = samples.lafite_zip(tmp_path / "test.zip", count=2, first=10, words=False)
    data = load("lafite_zip", path, tmp_path, heldout_path=str(test))
    assert not data.train.stored.has_words


def test_an_image_without_words_among_others_is_named_and_gets_no_stand_in(tmp_path):
    whole = samples.lafite_zip(tmp_path / "whole.zip", words=True)
    path = tmp_path / "train.zip"
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as archive:
        texts = sorted(name for name in source.namelist() if name.endswith(".txt"))
        for name in source.namelist():
            if name != texts[0]:
                archive.writestr(name, source.read(name))
    test = samples.lafite_zip(tmp_path / "test.zip", count=2, first=10, words=True)
    data = load("lafite_zip", path, tmp_path, heldout_path=str(test))
    assert not any("(caption" in text for captions in data.train.captions for text in captions)
    assert any("no caption" in line for line in data.skipped)


@pytest.mark.parametrize("words", [False, True])
def test_lafites_zip(tmp_path, words):
    path = samples.lafite_zip(tmp_path / "train.zip", words=words)
    test = samples.lafite_zip(tmp_path / "test.zip", count=2, first=10, words=words)
    data = load("lafite_zip", path, tmp_path, heldout_path=str(test))
    for split, numbers in ((data.train, range(6)), (data.heldout, (10, 11))):
        assert [number(image) for image in split.images] == list(numbers)
        assert split.stored.has_words == words
        for row, k in enumerate(numbers):
            random = np.random.default_rng(k)
            image, text = random.normal(size=8), random.normal(size=(2, 8))
            np.testing.assert_allclose(split.stored.image[row], image / np.linalg.norm(image), rtol=1e-5)
            expected = text / np.linalg.norm(text, axis=1, keepdims=True)
            np.testing.assert_allclose(split.stored.text[2 * row : 2 * row + 2], expected, rtol=1e-5)
            name = f"00000/img{k:08d}.png"
            said = [f"number {k}, way {n}" for n in range(2)] if words else [f"(caption {n} of {name})" for n in (1, 2)]
            assert split.captions[row] == said


def test_one_zip_for_both_splits_and_a_damaged_member(tmp_path):
    path = samples.lafite_zip(tmp_path / "set.zip", count=8)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        content[archive.getinfo("00000/img00000003.png").header_offset + 80] ^= 255
    path.write_bytes(content)
    data = load("lafite_zip", path, tmp_path, heldout_fraction=0.25)
    assert set(everything(data)) == set(range(8)) - {3}
    [reason] = data.skipped
    assert reason.startswith("00000/img00000003.png: unreadable image (Bad CRC-32")
    for split in (data.train, data.heldout):
        for image, feature in zip(split.images, split.stored.image, strict=True):
            expected = np.random.default_rng(number(image)).normal(size=8)
            np.testing.assert_allclose(feature, expected / np.linalg.norm(expected), rtol=1e-5)


def rewrite(path, name, content, attributes=None):
    with zipfile.ZipFile(path, "a") as archive:
        member = zipfile.ZipInfo(name)
        if attributes is not None:
            member.external_attr = attributes << 16
        archive.writestr(member, content)


@pytest.mark.parametrize(
    ("name", "attributes", "words"),
    [("../evil.png", None, "leads outside"), ("C:\\evil.png", None, "leads outside"), ("a.png", 0o120777, "a link")],
)
def test_a_zip_that_leads_outside_is_refused(tmp_path, name, attributes, words):
    path = samples.lafite_zip(tmp_path / "set.zip")
    rewrite(path, name, b"/etc/passwd", attributes)
    with pytest.raises(UserError, match=rf"set\.zip is refused: its member .* {words}"):
        load("lafite_zip", path, tmp_path)


def zip_with(path, table):
    with zipfile.ZipFile(path, "w") as archive:
        for k in range(4):
            archive.writestr(f"{k}.png", picture(k))
        if table is not None:
            archive.writestr("dataset.json", table)
    return path


def test_a_zip_that_lafite_did_not_write(tmp_path):
    put(tmp_path / "text.zip", "no zip")
    with pytest.raises(UserError, match=r"text\.zip is not a zip, or its end is missing; give a zip that LAFITE's"):
        load("lafite_zip", tmp_path / "text.zip", tmp_path)
    for table, words in (
        (None, "has no dataset.json"),
        ('{"clip_txt_features": [["a", 1', r"its dataset\.json cannot be read \(.*premature"),
    ):
        with pytest.raises(UserError, match=words):
            load("lafite_zip", zip_with(tmp_path / "set.zip", table), tmp_path)


def test_a_zip_of_images_alone_has_no_captions(tmp_path):
    path = zip_with(tmp_path / "set.zip", '{"labels": null, "clip_img_features": null, "clip_txt_features": null}')
    data = load("lafite_zip", path, tmp_path)
    assert everything(data) == {k: [] for k in range(4)}
    assert data.train.stored.text is None


def test_features_of_some_images_only_are_not_used(tmp_path):
    path = samples.lafite_zip(tmp_path / "set.zip", words=True)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    table = json.loads(members["dataset.json"])
    table["clip_img_features"].pop()
    table["clip_txt_features"][0][1].pop()
    members["dataset.json"] = json.dumps(table).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    path.write_bytes(buffer.getvalue())
    data = load("lafite_zip", path, tmp_path, heldout_path=str(samples.lafite_zip(tmp_path / "test.zip", words=True)))
    assert data.train.stored.image is None
    assert data.train.stored.text is None
    lost, short = f"00000/img{5:08d}.png", f"00000/img{0:08d}.png"
    assert data.train.stored.missing == {
        "image": f"clip_img_features lacks 1 of 6 images, such as {lost}",
        "text": f"clip_txt_features has 1 rows of 8 numbers for {short}, not 2 of 8",
    }
    assert data.heldout.stored.text is not None
    assert data.heldout.stored.missing == {}


def test_a_row_without_direction_is_not_used(tmp_path):
    def features(k):
        return np.zeros(8) if k == 3 else np.ones(8), [np.ones(8)] * 2

    path, test = (samples.lafite_zip(tmp_path / name, features=features, words=True) for name in ("a.zip", "test.zip"))
    data = load("lafite_zip", path, tmp_path, heldout_path=str(test))
    assert data.train.stored.image is None
    assert data.train.stored.missing == {"image": f"clip_img_features has a row of length 0 for 00000/img{3:08d}.png"}


def test_a_number_that_json_does_not_know_is_blamed_on_no_list(tmp_path):
    table = '{"clip_img_features": [["0.png", [NaN]]], "clip_txt_features": [["0.png", [[1]]]]}'
    with pytest.raises(UserError, match=r"set\.zip: its dataset\.json cannot be read \([^\n]*\)$"):
        load("lafite_zip", zip_with(tmp_path / "set.zip", table), tmp_path)


def test_a_folder_is_no_zip(tmp_path):
    with pytest.raises(UserError, match="is a folder, not a zip; zip what is in it"):
        load("lafite_zip", tmp_path, tmp_path)
