"""Hostile data: one bad item is skipped and listed, a bad table is one message, and memory stays small."""

import io
import json
import resource
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import ijson
import pytest
from PIL import Image

from clipgan.base.errors import UserError
from clipgan.inputs.data import images as images_module
from clipgan.inputs.data import limits
from clipgan.inputs.data.images import CaptionedImage, read_record
from clipgan.inputs.data.limits import CAPTION_LETTERS, CAPTIONS, WORD_LETTERS, DecodingMemory, check_json
from clipgan.inputs.data.loading import open_source
from tests.helpers import ROOT, make_config

GOOD = 8


def png(size=(8, 8)):
    file = io.BytesIO()
    Image.new("1", size).save(file, "PNG")
    return file.getvalue()


def listed(name, path):
    """What a listing finds: the names that can be packed, and the lines about all others."""
    contents = open_source(make_config(f"data={name}", f"data.path={path}").data, path.parent / "cache").open()
    read = [item for split in contents.sizes for item in contents.read(split, 8, 0)]
    bad = [item for item in read if isinstance(item, str)]
    return len(read) - len(bad), "\n".join([*contents.skipped, *bad])


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MiB


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    for k in range(GOOD):
        (root / f"{k}.png").write_bytes(png())
        (root / f"{k}.txt").write_text(f"caption {k}")
    (root / "bad.png").write_bytes(png())
    (root / "bad.txt").write_text("a caption")
    return root


def test_a_caption_of_a_million_letters_and_a_sparse_file_are_skipped(folder):
    (folder / "bad.txt").write_text("a" * 10**6)
    assert "it has 1000000 letters, and a caption at most 300000" in only_the_bad_one(folder)
    (folder / "bad.txt").write_text("a" * 10**5)
    assert "it has a word of 100000 letters, and a word may have 2000" in only_the_bad_one(folder)
    with (folder / "bad.txt").open("wb") as file:
        file.truncate(6 * 10**9)
    before = peak()
    assert "it has 6000000000 bytes" in only_the_bad_one(folder)
    assert peak() < before + 500


def only_the_bad_one(path, name="folder"):
    good, lines = listed(name, path)
    assert good == GOOD
    return lines


def test_an_image_that_does_not_fit_into_memory_is_skipped(folder, monkeypatch):
    monkeypatch.setattr(limits, "MEMORY_SHARE", 1e-9)
    assert "bad.png: unreadable image (it has 8 x 8 pixels, and decoding it would take" in listed("folder", folder)[1]


def test_images_that_fit_only_alone_are_decoded_one_at_a_time(monkeypatch):
    """169 megapixels take 2.7 GB each: two threads must not decode two of them at once."""
    memory, alone = DecodingMemory(2), []
    memory.budget = 1.5 * limits.BYTES_PER_PIXEL * 512 * 512
    decode = images_module.square

    def square(picture, resolution):
        alone.append(memory._alone.locked())
        return decode(picture, resolution)

    monkeypatch.setattr(images_module, "square", square)
    image = CaptionedImage("a.png", [], lambda: io.BytesIO(png((512, 512))))
    with ThreadPoolExecutor(2) as pool:
        records = list(pool.map(lambda _: read_record(image, 8, memory), range(6)))
    assert not any(isinstance(record, str) for record in records)
    memory.budget *= 2
    read_record(image, 8, memory)
    assert alone == [True] * 6 + [False]


def tar_with(path, **more):
    """A shard of good samples and of a part of a bad one; `more`: suffix -> content."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for k in range(GOOD):
            for suffix, content in (("png", png()), ("txt", b"a caption")):
                add(tar, f"{k}.{suffix}", content)
        for suffix, content in more.items():
            add(tar, f"bad.{suffix}", content)
    return path


def add(tar, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def sparse(path, name, size):
    """Append a sparse member (GNU tar's old format) of `size` bytes, none of which are in the archive."""
    header = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT))
    header[156:157] = b"S"
    header[386:398] = b"%011o\0" % 0  # the offset and length of the only piece with content
    header[398:410] = b"%011o\0" % 0
    header[483:495] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    content = path.read_bytes().rstrip(b"\0")
    content += bytes(-len(content) % 512)
    path.write_bytes(content + bytes(header) + bytes(1024))


@pytest.mark.parametrize("suffix", ["txt", "json"])
def test_a_sparse_member_of_a_tar_is_skipped(tmp_path, suffix):
    shard = tar_with(tmp_path / "0.tar", png=png())
    sparse(shard, f"bad.{suffix}", 5_900_000_000)
    with tarfile.open(shard) as tar:
        assert tar.getmembers()[-1].size == 5_900_000_000
    before = peak()
    told = only_the_bad_one(shard, "webdataset")
    assert "it has 5900000000 bytes, and captions at most" in told
    assert "ends early" not in told  # the size of a sparse member says nothing of where the tar ends
    assert peak() < before + 500


def test_a_huge_image_in_a_tar_is_skipped(tmp_path):
    shard = tar_with(tmp_path / "0.tar", txt=b"a caption")
    sparse(shard, "bad.png", 5_900_000_000)
    assert "unreadable image (it has 5900000000 bytes" in only_the_bad_one(shard, "webdataset")


def lafite(path, bad_text=b"a caption", harm=None, table=b'{"clip_img_features": [], "clip_txt_features": []}'):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(GOOD):
            archive.writestr(f"{k}.png", png())
            archive.writestr(f"{k}.txt", f"caption {k}")
        archive.writestr("bad.png", png())
        archive.writestr("bad.txt", bad_text)
        archive.writestr("dataset.json", table)
    if harm:
        content = bytearray(path.read_bytes())
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo("bad.txt")
        local, central = info.header_offset, content.rindex(b"PK\x01\x02", 0, content.rindex(b"bad.txt"))
        harm(content, local, central)
        path.write_bytes(content)
    return path


def encrypt(content, local, central):
    content[local + 6] |= 1
    content[central + 8] |= 1


def break_checksum(content, local, central):
    content[central + 16] ^= 1
    content[local + 14] ^= 1


def break_stream(content, local, central):
    content[local + 30 + len("bad.txt")] ^= 0xFF


@pytest.mark.parametrize(("harm", "words"), [
    (encrypt, "encrypted"), (break_checksum, "Bad CRC-32"), (break_stream, "Error -3 while decompressing"),
])  # fmt: skip
def test_a_damaged_or_encrypted_caption_of_a_zip_is_skipped(tmp_path, harm, words):
    assert words in only_the_bad_one(lafite(tmp_path / "a.zip", harm=harm), "lafite_zip")


def test_a_caption_that_bursts_is_skipped(tmp_path):
    path = lafite(tmp_path / "a.zip", bytes(3 * 10**8))
    assert path.stat().st_size < 10**6
    before = peak()
    assert "it has 300000000 bytes, and captions at most" in only_the_bad_one(path, "lafite_zip")
    assert peak() < before + 200


NESTED = b"[" * 20_000 + b"]" * 20_000
LONG = b"9" * 5000


@pytest.mark.parametrize(("value", "words"), [
    (LONG, "a number of more than 4000 digits"),
    (NESTED, "more than 100 brackets inside each other"),
    (b'{"a":' * 200 + b"1" + b"}" * 200, "more than 100 brackets inside each other"),
])  # fmt: skip
def test_tables_that_crash_a_parser_are_one_message(tmp_path, value, words):
    path = lafite(tmp_path / "a.zip", table=b'{"clip_img_features": [], "clip_txt_features": [["0.png", %s]]}' % value)
    with pytest.raises(UserError, match=words):
        listed("lafite_zip", path)
    table = b'{"images": [{"id": %s, "file_name": "a.jpg"}], "annotations": []}' % value
    with pytest.raises(UserError, match=words):
        listed("coco", coco(tmp_path, table.decode(), "utf-8"))


@pytest.mark.parametrize("piece", [1, 7, 64, 1 << 20])
def test_a_table_is_looked_at_in_pieces(monkeypatch, piece):
    """Brackets, quotes and digits in strings are no structure, wherever a piece ends."""
    monkeypatch.setattr(limits, "PIECE", piece)
    text = {"a": "[" * 300 + '\\" ]{' + "9" * 2000, "b": [[1, 2], {"c": [10**500, "\\"]}], "d": "\\\\"}
    check_json(io.BytesIO(json.dumps(text).encode()))
    assert list(ijson.items(io.BytesIO(json.dumps(text["b"][0]).encode()), "item")) == [1, 2]
    for bad in ([text, int("9" * 4050)], [text, json.loads("[" * 100 + "]" * 100)]):
        with pytest.raises(ValueError, match="more than"):
            check_json(io.BytesIO(json.dumps(bad).encode()))


def test_a_nul_in_a_file_name_is_skipped(folder, tmp_path):
    rows = [{"file_name": f"{k}.png", "text": "a caption"} for k in range(GOOD)]
    table = "\n".join(json.dumps(row) for row in [*rows, {"file_name": "a\0b.png", "text": "a caption"}])
    (folder / "metadata.jsonl").write_text(table)
    (folder / "bad.png").unlink()
    assert r"a\x00b.png: no such image" in only_the_bad_one(folder, "metadata")


def test_captions_up_to_the_limit_are_packed(folder):
    (folder / "bad.txt").write_text((("a" * WORD_LETTERS + " ") * 200)[:CAPTION_LETTERS])
    assert listed("folder", folder) == (GOOD + 1, "")


def test_too_many_captions_are_skipped(folder):
    (folder / "bad.txt").write_text("a\n" * (CAPTIONS + 1))
    assert "bad.png: it has 1001 captions, and an image may have 1000" in only_the_bad_one(folder)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_huge_header_ends_a_shard(tmp_path, kind):
    """tarfile reads a header as a whole; here 5 GB that are not on the disk."""
    shard = tar_with(tmp_path / "0.tar")
    huge = tarfile.TarInfo("long")
    huge.type, huge.size = kind, 5 << 30
    content = block(shard.read_bytes().rstrip(b"\0")) + huge.tobuf(tarfile.GNU_FORMAT)
    shard.write_bytes(content)
    with shard.open("r+b") as file:
        file.truncate(len(content) + (5 << 30) + 1024)
    before = peak()
    assert "0.tar: the shard ends early (a header has 5368709120 bytes)" in only_the_bad_one(shard, "webdataset")
    assert peak() < before + 200


def header(kind, size, name="long"):
    """A block with any size, in the base-256 form if it is negative."""
    raw = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT)[:512])
    raw[156:157] = kind
    raw[124:136] = b"%011o\0" % size if size >= 0 else b"\xff" + size.to_bytes(11, "big", signed=True)
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)


def block(content):
    return content + bytes(-len(content) % 512)


SPARSE = block(b"".join(b"%d %s\n" % (len(line) + 4, line) for line in (
    b"GNU.sparse.major=1", b"GNU.sparse.minor=0", b"GNU.sparse.realsize=99")))  # fmt: skip


@pytest.mark.parametrize(
    "damage",
    [
        header(tarfile.GNUTYPE_LONGNAME, -5000),
        (header(tarfile.GNUTYPE_LONGNAME, 5) + block(b"long\0")) * 5000,
        header(tarfile.XHDTYPE, 68) + SPARSE + header(tarfile.REGTYPE, 512, "a.png") + block(b"99999999\n"),
    ],
    ids=["negative", "5000 names", "map"],
)
def test_a_damaged_header_ends_a_shard(tmp_path, damage):
    shard = tar_with(tmp_path / "0.tar")
    content = shard.read_bytes().rstrip(b"\0")
    shard.write_bytes(block(content) + damage + bytes(1024))
    assert "0.tar: the shard ends early (" in only_the_bad_one(shard, "webdataset")


def test_a_huge_item_of_a_table_is_one_message(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "PIECE", 100)
    monkeypatch.setattr(limits, "JSON_ITEM", 1000)
    small = b", ".join(b'["%d.png", [[1, 2]]]' % k for k in range(100))
    table = b'{"clip_img_features": [], "clip_txt_features": [%s]}'
    check_json(io.BytesIO(table % small))
    path = lafite(tmp_path / "a.zip", table=table % (b'["0.png", [[%s 1]]]' % (b"1, " * 1000)))
    with pytest.raises(UserError, match="it has an item of more than 1000 bytes"):
        listed("lafite_zip", path)


@pytest.mark.parametrize("features", ["null", "5", "[1, 2]", "[[1, 2], [1]]", '[["a"]]', "[[]]", '{"a": 1}'])
def test_features_of_other_types_are_one_message(tmp_path, features):
    table = f'{{"clip_img_features": [], "clip_txt_features": [["0.png", {features}]]}}'
    path = lafite(tmp_path / "a.zip", table=table.encode())
    with pytest.raises(UserError, match=r"clip_txt_features in its dataset\.json is not what LAFITE's"):
        listed("lafite_zip", path)


@pytest.mark.parametrize(("table", "encoding"), [
    ('{"images": 5, "annotations": []}', "utf-8"), ('{"images": 5, "annotations": []}', "utf-16"), ("[5]", "utf-16"),
])  # fmt: skip
def test_a_table_of_another_shape_is_one_message(tmp_path, table, encoding):
    with pytest.raises(UserError, match="it lists no images"):
        listed("coco", coco(tmp_path, table, encoding))


def test_a_caption_that_is_a_number_is_skipped(tmp_path):
    rows = [{"image_id": k, "caption": "a cat"} for k in range(4)]
    table = {"images": [{"id": k, "file_name": f"{k}.png"} for k in range(4)],
             "annotations": [*rows, {"image_id": 3, "caption": 1.5}]}  # fmt: skip
    good, lines = listed("coco", coco(tmp_path, json.dumps(table), "utf-8"))
    assert good == 8
    assert 'annotations[4]: captions cannot be read (caption is "1.5", which is no string)' in lines


def coco(root, table, encoding):
    for split in ("train2014", "val2014"):
        (root / "coco" / split).mkdir(parents=True)
        (root / "coco" / "annotations").mkdir(exist_ok=True)
        (root / "coco" / "annotations" / f"captions_{split}.json").write_bytes(table.encode(encoding))
        for k in range(4):
            (root / "coco" / split / f"{k}.png").write_bytes(png())
    return root / "coco"


def test_a_sparse_table_is_one_message(folder):
    with (folder / "metadata.jsonl").open("wb") as file:
        file.truncate(10**13)
    with pytest.raises(UserError, match=r"it has 10000\.0 GB, and reading it needs more memory than is free"):
        listed("metadata", folder)


def test_pixels_have_pillows_limit_which_the_page_names(tmp_path):
    file = io.BytesIO()
    Image.new("1", (2 * Image.MAX_IMAGE_PIXELS // 4000 + 1, 4000)).save(file, "PNG")
    image = CaptionedImage("vast.png", ["a"], lambda: io.BytesIO(file.getvalue()))
    memory = DecodingMemory(1)
    memory.budget = 1 << 60
    assert "vast.png: unreadable image (Image size (178960000 pixels) exceeds limit" in read_record(image, 8, memory)
    limit = round(2 * Image.MAX_IMAGE_PIXELS / 1e6)
    assert f"| pixels of an image | {limit} million, " in (ROOT / "docs" / "data.md").read_text()
