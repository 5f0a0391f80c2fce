"""Packed captions are those that were written: encodings, ends of lines, tables with faults, several files an image."""

import csv
import io
import json
import os
import tarfile
import zipfile

import pytest

from clipgan.base.errors import UserError
from clipgan.config import DataConfig
from tests.helpers import make_config
from tests.inputs.data import samples
from tests.inputs.data.packs import everything, load, of
from tests.inputs.data.samples import add, picture, put

WORDS = ["ein grüner Vogel", "l'été à Nîmes", "plain"]
JAPANESE = ["赤い鳥", "青い花", "猫"]
CHINESE = ["红色的鸟", "蓝色的花", "plain"]


def texts_in(layout, root, words, encode):
    """Image k has the caption `words[k]`, as bytes that `encode` makes, in one of the formats with texts."""
    if layout in ("folder", "webdataset", "lafite_zip"):
        files = {f"{k}.txt": encode(text) for k, text in enumerate(words)}
        files |= {f"{k}.png": picture(k) for k in range(len(words))}
        if layout == "folder":
            for name, content in files.items():
                put(root / name, content)
            return root
        root.mkdir(parents=True)
        if layout == "webdataset":
            with tarfile.open(root / "0.tar", "w") as tar:
                for name, content in files.items():
                    add(tar, name, content)
            return root
        with zipfile.ZipFile(root / "set.zip", "w") as archive:
            archive.writestr("dataset.json", '{"clip_img_features": null, "clip_txt_features": null}')
            for name, content in files.items():
                archive.writestr(name, content)
        return root / "set.zip"
    for k in range(len(words)):
        put(root / f"{k}.png", picture(k))
    if layout == "jsonl":
        rows = [json.dumps({"file_name": f"{k}.png", "text": text}, ensure_ascii=False) for k, text in enumerate(words)]
        put(root / "metadata.jsonl", encode("\n".join(rows)))
    else:
        rows = ["file_name,text", *(f"{k}.png,{text}" for k, text in enumerate(words))]
        put(root / "metadata.csv", encode("\r\n".join(rows)))
    return root


def name_of(layout):
    return {"jsonl": "metadata", "csv": "metadata"}.get(layout, layout)


LAYOUTS = ("folder", "webdataset", "lafite_zip", "jsonl", "csv")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_encoding_with_a_mark_or_by_name(layout, tmp_path):
    for number, (words, codec, settings) in enumerate((
        (WORDS, "utf-8", {}), (WORDS, "utf-8-sig", {}), (WORDS, "utf-16", {}), (WORDS, "utf-32", {}),
        (WORDS, "latin-1", {"encoding": "latin-1"}), (WORDS, "cp1252", {"encoding": "cp1252"}),
        (JAPANESE, "shift_jis", {"encoding": "shift_jis"}), (CHINESE, "gbk", {"encoding": "gbk"}),
        (WORDS, "utf-16", {"encoding": "cp1252"}),  # the mark decides
    )):  # fmt: skip
        path = texts_in(layout, tmp_path / str(number), words, lambda text, codec=codec: text.encode(codec))
        data = load(name_of(layout), path, tmp_path, **settings)
        assert everything(data) == {k: [text] for k, text in enumerate(words)}, codec
        assert data.skipped == []


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("codec", ["latin-1", "utf-16-le"])
def test_what_is_not_in_the_encoding_is_listed_and_not_guessed(layout, codec, tmp_path):
    words = [*WORDS[1:], "two", "three", "four"] if codec == "latin-1" else WORDS
    spoilt = {0} if codec == "latin-1" else set()  # of the first set, only one has letters beyond ASCII
    path = texts_in(layout, tmp_path / "set", words, lambda text: text.encode(codec))
    if codec == "latin-1":
        data = load(name_of(layout), path, tmp_path)
        assert everything(data) == {k: [text] for k, text in enumerate(words) if k not in spoilt}
        assert any("byte 0xe9 is not utf-8; data.encoding=latin-1, for example, reads" in line for line in data.skipped)
        return
    with pytest.raises(UserError, match=r"NUL|needs the columns|not utf-8|not JSON"):  # never captions with NULs
        load(name_of(layout), path, tmp_path)


def test_captions_that_cannot_be_read_make_no_set_without_captions(tmp_path):
    path = texts_in("folder", tmp_path / "set", WORDS[:2], lambda text: text.encode("cp1252"))
    put(path / "7.png", picture(7))
    put(path / "8.png", picture(8))
    with pytest.raises(UserError, match=r"captions cannot be read \(2 times\), and no image has .*: 0\.txt of 0\.png"):
        load("folder", path, tmp_path)


def test_an_unknown_encoding_is_refused():
    for name in ("utf-9", "hex", ""):
        with pytest.raises(UserError, match=rf"data\.encoding='{name}' is not allowed: .* such as utf-8, .* shift_jis"):
            DataConfig(encoding=name)


NAMES = ("folder", "metadata", "webdataset", "lafite_zip", "coco", "cub", "celeba_hq", "imagefolder")


@pytest.mark.parametrize("name", NAMES)
def test_the_encoding_is_a_setting_of_every_format_with_texts(name):
    assert make_config(f"data={name}", "data.path=x", "data.encoding=cp1252").data.encoding == "cp1252"


ODD = "a\u2028b\u0085c\x0cd\x0be"  # str.splitlines would cut it in five


def test_a_caption_ends_at_a_newline_alone(tmp_path):
    content = f"{ODD}\r\n\r\nsecond\rthird\n".encode()
    put(tmp_path / "set" / "0.png", picture(0))
    put(tmp_path / "set" / "0.txt", content)
    put(tmp_path / "set" / "1.png", picture(1))
    put(tmp_path / "set" / "1.txt", b"one")
    assert everything(load("folder", tmp_path / "set", tmp_path))[0] == [ODD, "second", "third"]
    for layout, root in (("cub", samples.cub(tmp_path / "cub")), ("celeba_hq", samples.celeba_hq(tmp_path / "faces"))):
        first = sorted(root.glob("text*/**/*.txt"))[0]
        first.write_bytes(content)
        data = load(layout, root, tmp_path)
        assert [ODD, "second", "third"] in everything(data).values()
    path = samples.lafite_zip(tmp_path / "set.zip", count=3)
    with zipfile.ZipFile(path, "a") as archive:
        for k in range(3):
            archive.writestr(f"00000/img{k:08d}.txt", content)
    assert everything(load("lafite_zip", path, tmp_path)) == {k: [ODD, "second", "third"] for k in range(3)}


def test_all_captions_of_a_sample_in_a_shard(tmp_path):
    members = {
        "a.txt": "one caption\nwith a newline",
        "b.0.txt": "first", "b.10.txt": "third", "b.2.txt": "second",
        "c.caption": "of another name",
        "d.json": json.dumps({"caption": "in JSON\nas a whole", "url": "http://x"}),
        "e.json": json.dumps({"text": "under the column's name"}),
        "f.json": json.dumps({"captions": ["one", "two"]}),
        "g.json": json.dumps({"caption": {"en": "a bird", "de": "ein Vogel"}}),
        "h.json": json.dumps({"caption": "half \ud83d a character"}),
        "i.txt": ODD,
        "j.txt": "", "j.json": json.dumps({"caption": "the text is empty"}),
        "k.txt": "k",
    }  # fmt: skip
    root = tmp_path / "set"
    root.mkdir()
    with tarfile.open(root / "0.tar", "w") as tar:
        for k, key in enumerate("abcdefghijk"):
            add(tar, f"{key}.{'image.' * (key == 'k')}png", picture(k))
        for name, text in members.items():
            add(tar, name, text.encode())
        add(tar, "a.npy", b"")
        add(tar, "a.jpg", picture(20, "JPEG"))
        add(tar, "._a.png", picture(21))
    (root / "1.tar").touch()
    put(root / "2.tar.gz", b"\x1f\x8b")
    data = load("webdataset", root, tmp_path)
    assert everything(data) == {
        0: ["one caption with a newline"], 1: ["first", "second", "third"], 2: ["of another name"],
        3: ["in JSON as a whole"], 4: ["under the column's name"], 5: ["one", "two"],
        8: ["a b c d e"], 9: ["the text is empty"], 10: ["k"],
    }  # fmt: skip
    skipped = "\n".join(data.skipped)
    for line in (
        "0.tar/g: captions cannot be read (caption is an object with the keys en, de",
        "0.tar/h: captions cannot be read (it has half a character, the lone surrogate \\ud83d)",
        "0.tar/a.npy: neither an image that Pillow reads nor captions of one",
        "0.tar/a.jpg: the sample has another image, .png",
        "0.tar/._a.png: hidden",
        "1.tar: not an uncompressed tar; decompress it first if it is a .tar.gz (empty file)",
        "2.tar.gz: a compressed tar; decompress it",
    ):
        assert line in skipped


def table(root, count, text, name="metadata.csv"):
    for k in range(count):
        put(root / f"{k}.png", picture(k))
    put(root / name, text)
    return root


def test_a_csv_with_faults_loses_no_other_row(tmp_path):
    long = "long " * 40_000  # beyond csv's own limit of 131,072 characters
    rows = [
        "0.png,a bird number 0, red, small",
        "1.png,\"quoted, with \"\"quotes\"\"\nand a newline\"",
        "2.png,\"its quote is never closed",
        "3.png,after it",
        f"4.png,{long}",
        "5.png,\"closed\" too early",
        "6.png",
        "7.png,last",
    ]  # fmt: skip
    data = load("metadata", table(tmp_path / "set", 8, "file_name,text\n" + "\n".join(rows)), tmp_path)
    assert everything(data) == {
        0: ["a bird number 0, red, small"], 1: ['quoted, with "quotes" and a newline'], 3: ["after it"],
        4: [long.strip()], 7: ["last"],
    }  # fmt: skip
    assert data.notes[1:-1] == [
        "metadata.csv: the captions of 1 row have commas without quotes, which are taken as parts of the captions"
    ]
    skipped = "\n".join(data.skipped)
    faulty = [f"metadata.csv:{row}: not a row of CSV; is a quote missing? (" for row in (5, 8)]
    for line in (*faulty, "2.png: no caption", "5.png: no caption", "6.png: no caption"):
        assert line in skipped


def test_an_unclosed_quote_swallows_no_rows_that_another_one_closes(tmp_path):
    rows = 'file_name,text\n0.png,"open\n1.png,one\n2.png,two"\n3.png,three\n4.png,four\n'
    data = load("metadata", table(tmp_path / "set", 5, rows), tmp_path)
    assert everything(data) == {1: ["one"], 2: ['two"'], 3: ["three"], 4: ["four"]}
    assert "metadata.csv:2: not a row of CSV; is a quote missing? (its quoted field goes on over lines" in "\n".join(
        data.skipped
    )


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
def test_the_delimiter_of_a_csv_is_the_headers(delimiter, tmp_path):
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter)
    writer.writerows([["source", "file_name", "text"], *(["x", f"{k}.png", f"a, b; c | {k}"] for k in range(3))])
    data = load("metadata", table(tmp_path / "set", 3, file.getvalue(), "Metadata.CSV"), tmp_path)
    assert everything(data) == {k: [f"a, b; c | {k}"] for k in range(3)}


def test_of_a_csv_with_another_column_of_captions_the_columns_are_named(tmp_path):
    rows = "file_name;caption\n0.png;a bird\n"
    with pytest.raises(UserError, match=r"data\.caption_column=text; it has file_name, caption$"):
        load("metadata", table(tmp_path / "set", 1, rows), tmp_path)


def test_too_many_commas_among_several_columns_are_refused(tmp_path):
    rows = "file_name,text,source\n0.png,a bird, red,here\n1.png,one,here\n2.png,two,here\n"
    data = load("metadata", table(tmp_path / "set", 3, rows), tmp_path)
    assert everything(data) == {1: ["one"], 2: ["two"]}
    assert "metadata.csv:2: it has 4 fields, the header 3: put fields with commas into quotes" in data.skipped


@pytest.mark.parametrize("further", ["", ",source"])
def test_empty_fields_beyond_the_header_are_none(further, tmp_path):
    """Spreadsheets write them below each column that was ever used."""
    source = further and ",here"
    rows = f"file_name,text{further}\n0.png,a bird{source},,\n1.png,one{source}, ,\n2.png,two{source}\n"
    data = load("metadata", table(tmp_path / "set", 3, rows), tmp_path)
    assert everything(data) == {0: ["a bird"], 1: ["one"], 2: ["two"]}
    assert not data.skipped
    assert not any("commas" in note for note in data.notes)


def test_a_table_of_faulty_rows_alone_says_which_faults(tmp_path):
    rows = "file_name,text,source\n" + "".join(f"{k}.png,one,here,red\n" for k in range(5))
    words = r"it has no row that can be read: metadata\.csv:2: it has 4 fields, the header 3: .*csv:4: [^;]*$"
    with pytest.raises(UserError, match=words):
        load("metadata", table(tmp_path / "set", 5, rows), tmp_path)


def test_rows_of_json_with_faults(tmp_path):
    rows = [
        {"file_name": "0.png", "text": {"en": "a bird", "de": "ein Vogel"}},
        {"file_name": "1.png", "text": "half \ud83d a character"},
        {"file_name": "2.png", "text": 5},
        {"file_name": "3.png", "text": ODD},
        {"file_name": ".\\deep\\4.png", "text": "with backslashes"},
        {"file_name": "5.gif", "text": "a GIF"},
        {"file_name": "6.heic", "text": "cannot be opened"},
        {"file_name": "gr\u00fcn.png", "text": "composed"},
        {"file_name": "../8.png", "text": "outside"},
        {"file_name": "0.png", "text": ["emoji \U0001f600"]},
    ]
    root = table(tmp_path / "set", 4, "\n".join(json.dumps(row) for row in rows), "metadata.jsonl")
    put(root / "deep" / "4.png", picture(4))
    put(root / "5.gif", picture(5, "GIF"))
    put(root / "6.heic", b"\0\0\0\x18ftypheic")
    put(root / "gru\u0308n.png", picture(7))  # as macOS writes it
    data = load("metadata", root, tmp_path)
    assert everything(data) == {
        0: ["emoji \U0001f600"], 3: ["a b c d e"], 4: ["with backslashes"], 5: ["a GIF"], 7: ["composed"],
    }  # fmt: skip
    skipped = "\n".join(data.skipped)
    for line in (
        "metadata.jsonl:1: captions cannot be read (text is an object with the keys en, de; data.caption_column=text.",
        "metadata.jsonl:2: captions cannot be read (it has half a character, the lone surrogate \\ud83d)",
        "metadata.jsonl:3: captions cannot be read (text is 5, which is no string)",
        "6.heic: not an image that Pillow can read",
        "metadata.jsonl:9: outside of the folder (../8.png)",
        "1.png: no caption", "2.png: no caption",
    ):  # fmt: skip
        assert line in skipped
    nested = [{"file_name": f"{k}.png", "text": {"en": f"bird {k}", "de": "Vogel"}} for k in range(4)]
    put(root / "metadata.jsonl", "\n".join(json.dumps(row) for row in nested))
    data = load("metadata", root, tmp_path, caption_column="text.en")
    assert everything(data) == {k: [f"bird {k}"] for k in range(4)}
    with pytest.raises(UserError, match=r"4 images but 0|has \d+ images but 0 with captions.*text is an object"):
        load("metadata", root, tmp_path)


def test_half_a_character_and_another_encoding_in_cocos_annotations(tmp_path):
    root = samples.coco(tmp_path / "coco", n_train=3)
    path = root / "annotations" / "captions_train2014.json"
    content = json.loads(path.read_text())
    texts = {(0, 0): "half \ud83d a character", (1, 0): "whole \U0001f600"}
    for entry in content["annotations"]:
        place = (entry["image_id"], entry["id"] % 10)
        entry["caption"] = texts.get(place, entry["caption"])
    path.write_text(json.dumps(content))
    data = load("coco", root, tmp_path)
    assert len(of(data.train)[0]) == 4
    assert of(data.train)[1][0] == "whole \U0001f600"
    assert len(of(data.train)[2]) == 5
    [line] = data.skipped
    assert line == (
        "captions_train2014.json, annotations[0]: captions cannot be read "
        "(it has half a character, the lone surrogate \\ud83d)"
    )
    content["annotations"][0]["caption"] = "ein grüner Vogel"
    for codec, settings in (("cp1252", {"encoding": "cp1252"}), ("utf-16", {}), ("utf-8-sig", {})):
        plain = json.dumps(content, ensure_ascii=False).replace("\U0001f600", "")
        path.write_bytes(plain.encode(codec))
        assert of(load("coco", root, tmp_path, **settings).train)[0][0] == "ein grüner Vogel"


def test_names_that_are_no_text_cost_nothing(tmp_path):
    root = tmp_path / "set"
    for k, name in enumerate((b"caf\xe9.png", b"two\nlines.png", "\u2028.png".encode(), b"plain.png")):
        path = os.path.join(os.fsencode(root), name)
        root.mkdir(exist_ok=True)
        with open(path, "wb") as file:
            file.write(picture(k) if k else b"no picture")
        with open(path[:-4] + b".txt", "w") as file:
            file.write(f"number {k}")
    data = load("folder", root, tmp_path)
    assert everything(data) == {k: [f"number {k}"] for k in (1, 2, 3)}
    assert [line.partition(" (")[0] for line in data.skipped] == ["caf\\udce9.png: unreadable image"]
    names = [json.loads(line) for split in (data.train, data.heldout) for line in split.names.open(encoding="utf-8")]
    assert sorted(names) == ["\\u2028.png", "plain.png", "two\\nlines.png"]
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for k, name in enumerate(("caf\udce9", "b", "c")):
            add(tar, f"{name}.png", picture(k))
            add(tar, f"{name}.txt", f"number {k}".encode())
    assert everything(load("webdataset", tmp_path / "0.tar", tmp_path)) == {k: [f"number {k}"] for k in range(3)}
