"""Which captions belong to which image, and which images to which split, where lists and names have faults."""

import json
import pickle
import re
import tarfile
import unicodedata
import zipfile

import pytest

from clipgan.base.errors import UserError
from tests.inputs.data import samples
from tests.inputs.data.packs import everything, load, of
from tests.inputs.data.samples import add, picture, put


def expected(*ks):
    return {k: [f"number {k}"] for k in ks}


def shard(path, names):
    """Image k is `NAME.png` with its caption in `NAME.txt`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for k, name in names.items():
            add(tar, f"{name}.png", picture(k))
            add(tar, f"{name}.txt", f"number {k}".encode())


@pytest.mark.parametrize("name", ["folder", "metadata", "imagefolder", "webdataset"])
def test_splits_below_lone_folders(name, tmp_path):
    root, rows = tmp_path / "set", []
    for k in range(5):
        split = "a/b/Train" if k < 3 else "a/b/test"
        if name == "webdataset":
            shard(root / split / f"{k}.tar", {k: k})
            continue
        put(root / split / "bird" / f"{k}.png", picture(k))
        if name == "folder":
            put(root / split / "bird" / f"{k}.txt", f"number {k}")
        rows.append(json.dumps({"file_name": f"{split}/bird/{k}.png", "text": f"number {k}"}))
    if name == "metadata":
        put(root / "metadata.jsonl", "\n".join(rows))
    data = load(name, root, tmp_path)
    assert (set(of(data.train)), set(of(data.heldout))) == ({0, 1, 2}, {3, 4})
    if name == "imagefolder":
        assert all(captions == ["a photo of a bird"] for captions in everything(data).values())
    assert data.notes[1] == "training images are those of a/b/Train/, held-out images those of a/b/test/"


@pytest.mark.parametrize("where", ["deep folders", "shards", "folders in a shard", "folders in a zip"])
def test_what_looks_like_a_split_anywhere_is_named(where, tmp_path):
    root = tmp_path / "set"
    if where == "deep folders":
        for k, folder in enumerate(("x/a/train", "x/a/test", "x/b")):
            put(root / folder / f"{k}.png", picture(k))
            put(root / folder / f"{k}.txt", f"number {k}")
        put(root / "y" / "notes.md", "x")
        name, place = "folder", "x/a/test/"
    elif where == "shards":
        shard(root / "birds-0.tar", {0: 0, 1: 1})
        shard(root / "birds-test-0.tar", {2: 2})
        name, place = "webdataset", "birds-test-0.tar/"
    elif where == "folders in a shard":
        shard(root / "0.tar", {0: "train/0", 1: "train/1", 2: "test/2"})
        name, place = "webdataset", "test/"
    else:
        root.mkdir()
        root = root / "set.zip"
        with zipfile.ZipFile(root, "w") as archive:
            archive.writestr("dataset.json", '{"clip_img_features": null, "clip_txt_features": null}')
            for k, folder in enumerate(("train", "train", "test")):
                archive.writestr(f"{folder}/{k}.png", picture(k))
                archive.writestr(f"{folder}/{k}.TXT", f"number {k}")
        name, place = "lafite_zip", "test/"
    data = load(name, root, tmp_path)
    assert everything(data) == expected(0, 1, 2)
    assert sum(note.startswith(f"{place}: named like held-out images, but packed like all") for note in data.notes) == 1


def test_cub_splits_by_names_without_suffixes_and_lists_the_rest(tmp_path):
    root = samples.cub(tmp_path / "cub")  # 0 and 4 are held out
    folder = root / "CUB_200_2011" / "images" / "001.Black_footed_Albatross"
    first = min(folder.iterdir())
    first.rename(first.with_suffix(".JPG"))
    texts = root / "text_c10" / folder.name
    (texts / f"{first.stem}.txt").rename(texts / f"{first.stem}.TXT")
    put(folder / "new.jpg", picture(9, "JPEG"))
    put(texts / "new.txt", "of no split")
    put(texts / "gone.txt", "of no image")
    lists = root / "CUB_200_2011" / "images.txt"
    lists.write_bytes((lists.read_text() + "77\n").encode("utf-16"))
    data = load("cub", root, tmp_path)
    assert (set(of(data.train)), set(of(data.heldout))) == ({1, 2, 3, 5}, {0, 4})
    assert data.skipped == ["images.txt: a line without two words (77)", f"{folder.name}/new.jpg: in neither split"]
    assert data.notes[1:] == [
        f"text_c10/: 1 text without an image, such as {folder.name}/gone.txt",
        "the split is that of train_test_split.txt",
    ]
    put(root / "testclasses.txt", "003.None\n")
    with pytest.raises(UserError, match=r"testclasses\.txt names no class of the images"):
        load("cub", root, tmp_path)
    put(lists, b"\xe9")
    put(root / "testclasses.txt", b"\xe9")
    with pytest.raises(UserError, match=r"testclasses\.txt cannot be read: .*byte 0xe9 is not utf-8"):
        load("cub", root, tmp_path)


def test_faces_pair_by_whole_paths_and_one_list_is_a_split(tmp_path):
    root = samples.celeba_hq(tmp_path / "faces", count=6, n_test=2)
    put(root / "images" / "a" / "0.jpg", picture(9, "JPEG"))
    (root / "train" / "filenames.pickle").unlink()
    data = load("celeba_hq", root, tmp_path)
    assert (set(of(data.train)), set(of(data.heldout))) == ({2, 3, 4, 5}, {0, 1})
    assert data.skipped == ["a/0.jpg: no caption file"]
    put(root / "train" / "filenames.pickle", pickle.dumps(["1", "2", "3", "4", "5"]))
    data = load("celeba_hq", root, tmp_path)
    assert (set(of(data.train)), set(of(data.heldout))) == ({1, 2, 3, 4, 5}, {0})
    assert data.notes[2] == "in both lists of the split, and used for training: 1 image, such as 1"


def test_each_faulty_entry_of_coco_is_one_line(tmp_path):
    root = samples.coco(tmp_path / "coco", n_train=7)
    path = root / "annotations" / "captions_train2014.json"
    content = json.loads(path.read_text())
    images, annotations = content["images"], content["annotations"]
    del images[0]["file_name"]
    images[1]["file_name"] = 5
    images[3]["id"] = 2  # the captions of 2 may be of either image
    (root / "train2014" / images[4]["file_name"]).rename(root / "train2014" / "gru\u0308n.jpg")  # as macOS writes it
    images[4]["file_name"] = "grün.jpg"
    for entry in annotations:
        entry["image_id"] = str(entry["image_id"])
    spoilt = [entry for entry in annotations if entry["image_id"] == "5"]
    del spoilt[0]["caption"]
    spoilt[1]["caption"] = 7
    del spoilt[2]["image_id"]
    put(root / "train2014" / "more" / "8.jpg", picture(8, "JPEG"))
    path.write_text(json.dumps(content))
    data = load("coco", root, tmp_path)
    ways = {k: [f"A photo of {k}, said in way {n}." for n in range(5)] for k in (4, 5, 6)}
    assert of(data.train) == {**ways, 5: ways[5][3:]}
    beginnings = [line.partition(" (")[0] for line in data.skipped]
    file = "captions_train2014.json"
    assert beginnings[:2] == [f"{file}, images[{k}]: not an image of MS-COCO" for k in (0, 1)]
    assert [line.partition(": ")[2] for line in beginnings[2:5]] == ["captions cannot be read"] * 3
    assert [line.partition(": ")[2] for line in beginnings[5:7]] == ["several images have its id"] * 2
    assert f"train2014/more/8.jpg: an image without captions in {file}" in beginnings[7:]
    path.write_text("[]")
    with pytest.raises(UserError, match=r"is not an MS-COCO annotation file \(it lists no images"):
        load("coco", root, tmp_path)


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["as a stream", "as a whole"])
@pytest.mark.parametrize("other", [0.5, 1e30])
def test_ids_of_coco_that_are_whole_numbers_with_a_point(other, mark, tmp_path):
    """7.0 and 7 are one id, as pandas writes a column of ids; 7.5 is none, nor is a number beyond a float's digits."""
    root = samples.coco(tmp_path / "coco", n_train=3)
    path = root / "annotations" / "captions_train2014.json"
    content = json.loads(path.read_text())
    content["images"][0]["id"] = float(content["images"][0]["id"])
    for entry in content["annotations"]:
        entry["image_id"] = float(entry["image_id"])
    content["annotations"][0]["image_id"] = other
    path.write_text(mark + json.dumps(content), encoding="utf-8")
    data = load("coco", root, tmp_path)
    ways = {k: [f"A photo of {k}, said in way {n}." for n in range(5)] for k in range(3)}
    assert of(data.train) == {**ways, 0: ways[0][1:]}
    [skipped] = data.skipped
    assert re.search(r"its image_id is (0\.5|1[Ee]\+30)\)$", skipped)


def test_names_with_dots_in_a_shard_keep_their_own_captions(tmp_path):
    shard(tmp_path / "0.tar", {0: "v1.0001", 1: "v1.0002", 2: "photo.a", 3: "photo.b", 4: "lone.x", 5: "plain"})
    data = load("webdataset", tmp_path / "0.tar", tmp_path)
    assert everything(data) == expected(*range(6))
    assert data.skipped == []


def test_names_with_dots_in_a_shard_keep_their_numbered_captions(tmp_path):
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for k, key in enumerate(("photo.a", "photo.b", "v1.0", "v1.1")):
            add(tar, f"{key}.png", picture(k))
            for way in range(2):
                add(tar, f"{key}.{way}.txt", f"number {k}, way {way}".encode())
    data = load("webdataset", tmp_path / "0.tar", tmp_path)
    assert everything(data) == {k: [f"number {k}, way {way}" for way in range(2)] for k in range(4)}
    assert data.skipped == []


def test_two_samples_of_one_name_in_a_shard_share_no_captions(tmp_path):
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for k in (0, 1, 2, 3):  # 0 has no text, and 9 neither its name nor its image
            add(tar, f"{k}.png", picture(k))
            if k:
                add(tar, f"{k}.txt", f"number {k}".encode())
        for name, content in (("0.png", picture(9)), ("0.txt", b"number 9"), ("1.txt", b"number 8")):
            add(tar, name, content)
    data = load("webdataset", tmp_path / "0.tar", tmp_path)
    assert everything(data) == expected(1, 2, 3)
    assert data.skipped == [
        "0.tar/0.png: the shard already has a file of this name", "0.tar/0.txt: of a second sample of this name",
        "0.tar/1.txt: the shard already has a file of this name", "0.tar/0.png: no caption",
    ]  # fmt: skip


def test_a_file_that_is_twice_in_a_shard_costs_no_other_file(tmp_path):
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for k in (1, 2, 3):  # of one key, by webdataset's rule
            add(tar, f"v1.{k:03}.png", picture(k))
            add(tar, f"v1.{k:03}.txt", f"number {k}".encode())
            add(tar, "v1.001.png", picture(9))
        for name in ("4.png", "4.png", "4.txt", "4.txt", "4.0.txt"):  # the same bytes again
            add(tar, name, picture(4) if name.endswith("png") else b"number 4")
        add(tar, "5.png", picture(5))
        add(tar, "5.PNG", picture(8))
        add(tar, "5.txt", b"number 5")
        add(tar, "6.Foo.png", picture(6))
        add(tar, "6.foo.txt", b"number 6")
    data = load("webdataset", tmp_path / "0.tar", tmp_path)
    assert everything(data) == {**expected(1, 2, 3, 5, 6), 4: ["number 4", "number 4"]}
    twice = ["v1.001.png", "v1.001.png", "v1.001.png", "4.png", "4.txt", "5.PNG"]
    assert data.skipped == [f"0.tar/{name}: the shard already has a file of this name" for name in twice]


def test_names_with_dots_in_a_shard_differ_by_the_case_of_their_letters(tmp_path):
    shard(tmp_path / "0.tar", {0: "photo.A", 1: "photo.a", 2: "Photo.a", 3: "plain"})
    with tarfile.open(tmp_path / "0.tar", "a") as tar:
        add(tar, "4.PNG", picture(4))
        add(tar, "4.TXT", b"number 4")
    data = load("webdataset", tmp_path / "0.tar", tmp_path)
    assert everything(data) == expected(*range(5))
    assert data.skipped == []


@pytest.mark.parametrize(("of_picture", "of_text"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_a_text_belongs_to_its_image_however_its_letters_are_composed(tmp_path, of_picture, of_text):
    names = ("\u00e9t\u00e9", "caf\u00e9.1", "plain")
    for k, name in enumerate(names):
        put(tmp_path / "set" / f"{unicodedata.normalize(of_picture, name)}.png", picture(k))
        number = ".0" * (k == 0)
        put(tmp_path / "set" / f"{unicodedata.normalize(of_text, name)}{number}.txt", f"number {k}")
    data = load("folder", tmp_path / "set", tmp_path)
    assert everything(data) == expected(0, 1, 2)
    assert data.skipped == []


def test_two_images_whose_names_differ_by_composition_alone_keep_their_own_texts(tmp_path):
    for k, form in enumerate(("NFC", "NFD")):
        name = unicodedata.normalize(form, "\u00e9")
        put(tmp_path / "set" / f"{name}.png", picture(k))
        put(tmp_path / "set" / f"{name}.txt", f"number {k}")
    assert everything(load("folder", tmp_path / "set", tmp_path)) == expected(0, 1)


def test_a_key_of_captions_that_is_not_looked_for_is_named(tmp_path):
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for k in range(3):
            add(tar, f"{k}.png", picture(k))
            add(tar, f"{k}.json", json.dumps({"prompt": f"number {k}"}).encode())
    note = load("webdataset", tmp_path / "0.tar", tmp_path).notes[1]
    assert note == (
        "the .json of 3 samples without a text has none of the keys caption, captions, text (that of 0.tar/0 has "
        "prompt); data.caption_column=KEY reads another one"
    )
    data = load("webdataset", tmp_path / "0.tar", tmp_path, caption_column="prompt")
    assert everything(data) == expected(0, 1, 2)


def test_names_of_classes_that_are_no_text_or_not_listed(tmp_path):
    root = tmp_path / "set"
    for k in range(6):
        put(root / ("cat", "two\nlines", "caf\udce9")[k % 3] / f"{k}.png", picture(k))
    put(root / "classes.txt", "cat tabby cat, a cat\n")
    data = load("imagefolder", root, tmp_path)
    names = ("tabby cat", "two lines")
    assert everything(data) == {k: [f"a photo of a {names[k % 3]}"] for k in (0, 1, 3, 4)}
    assert data.skipped == [f"caf\\udce9/{k}.png: its class has a name that is no text" for k in (2, 5)]
    assert data.notes[1].startswith("1 of 2 classes are called like their folders, such as two\\nlines: a line of")


def test_a_zip_with_a_file_twice_and_a_table_of_more_images(tmp_path):
    path = tmp_path / "set.zip"
    table = {"clip_txt_features": [[f"{k}.png", [[1.0, 2.0]]] for k in range(5)], "clip_img_features": None}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("dataset.json", json.dumps(table))
        for k in range(3):
            archive.writestr(f"{k}.png", picture(k))
            archive.writestr(f"{k}.txt", f"number {k}")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("0.png", picture(9))
    data = load("lafite_zip", path, tmp_path)
    assert everything(data) == {9: ["number 0"], 1: ["number 1"], 2: ["number 2"]}
    assert data.notes[1] == "dataset.json names 2 images missing from the zip, such as 3.png"
    assert data.skipped == ["0.png: the zip has several files of this name, and the last one is read"]


def test_rows_that_lack_something(tmp_path):
    root = tmp_path / "set"
    for k in range(4):
        put(root / f"{k}.png", picture(k))
    put(
        root / "metadata.csv",
        'file_name, text, text\n\n0.png, "a, b", c\n1.png, one, c\n2.png, a bird\nwith wings\n3.png, x, y\n',
    )
    data = load("metadata", root, tmp_path)
    assert everything(data) == {0: ["a, b"], 1: ["one"], 2: ["a bird"], 3: ["x"]}
    assert data.notes[1] == "metadata.csv: of 2 columns with the name text, the first one is read"
    assert data.skipped == ["metadata.csv:6: it has 1 field, the header 3"]
    rows = [*({"file_name": f"{k}.png", "text": f"number {k}"} for k in range(3)), {"text": "of no file"},
            {"file_name": 3, "text": "x"}, {"file_name": "gone.png"}]  # fmt: skip
    (root / "metadata.csv").unlink()
    put(root / "metadata.jsonl", "\n\n".join(map(json.dumps, rows)))
    data = load("metadata", root, tmp_path)
    assert everything(data) == expected(0, 1, 2)
    assert data.skipped == [
        "metadata.jsonl:7: it has no file_name", "metadata.jsonl:9: it has no file_name", "gone.png: no such image",
        "3.png: no caption",
    ]  # fmt: skip


def test_names_with_colons_are_one_group_of_the_summary(tmp_path, capsys):
    from clipgan.inputs.data.summary import report_files

    root = tmp_path / "set"
    for k in range(2):
        put(root / f"{k}.png", picture(k))
        put(root / f"{k}.txt", f"number {k}")
    for k in range(5):
        put(root / f"Part {k}: the film.png", picture(k + 5))
    data = load("folder", root, tmp_path)
    capsys.readouterr()
    report_files(data)
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == (
        '  5 images without a caption file: "Part 0: the film.png", "Part 1: the film.png", '
        '"Part 2: the film.png", and 2 more'
    )
