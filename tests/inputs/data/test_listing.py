"""Which files are taken as the data set: links, splits, classes, and a line for whatever is left out."""

import json
import os
import tarfile

import pytest
import torch

from clipgan.base.cache import cache_entry
from clipgan.base.errors import UserError
from clipgan.config import DataConfig
from clipgan.inputs.data import account
from clipgan.inputs.data.labels import load_labels
from clipgan.inputs.data.loading import load_data
from clipgan.inputs.data.summary import grouped, report_files
from clipgan.sampling.files import Picture, write_pictures
from tests.inputs.data import samples
from tests.inputs.data.packs import everything, load, of
from tests.inputs.data.samples import picture, put


def captioned(folder, *ks):
    for k in ks:
        put(folder / f"{k}.png", picture(k))
        put(folder / f"{k}.txt", f"number {k}\n")


def expected(*ks):
    return {k: [f"number {k}"] for k in ks}


def test_links_to_folders_are_followed_and_a_circle_ends_with_a_line(tmp_path):
    root = tmp_path / "set"
    captioned(root / "a", 0, 1, 2)
    captioned(tmp_path / "elsewhere" / "b", 3, 4, 5)
    captioned(tmp_path / "elsewhere" / "c", 6, 7, 8)
    (root / "b").symlink_to(tmp_path / "elsewhere" / "b")
    (root / "c").symlink_to("../elsewhere/c")
    (root / "a" / "round").symlink_to(root)
    (root / "a" / "9.png").symlink_to("nowhere")
    (root / "x").symlink_to("y")
    (root / "y").symlink_to("x")
    os.mkfifo(root / "pipe")
    (root / "null.png").symlink_to("/dev/null")
    (root / "piped.png").symlink_to("pipe")
    data = load("folder", root, tmp_path)
    assert everything(data) == expected(*range(9))
    assert sorted(data.skipped) == [
        "a/9.png: a link whose target is missing",
        "a/round: a link back to a folder above it, which is not followed",
        "null.png: a link to a device, a socket or a pipe",
        "pipe: a device, a socket or a pipe",
        "piped.png: a link to a device, a socket or a pipe",
        "x: a link that cannot be followed (Too many levels of symbolic links)",
        "y: a link that cannot be followed (Too many levels of symbolic links)",
    ]
    data = load("imagefolder", root, tmp_path)
    assert {text for [text] in everything(data).values()} == {f"a photo of a {kind}" for kind in "abc"}
    assert "followed: 2 links to folders" in data.notes


def test_links_to_files_are_the_files_as_in_a_hub_cache(tmp_path):
    blobs, root = tmp_path / "hub" / "blobs", tmp_path / "hub" / "snapshots" / "rev"
    rows = []
    for k in range(4):
        put(blobs / f"sha{k}", picture(k))
        (root / "train").mkdir(parents=True, exist_ok=True)
        (root / "train" / f"{k}.png").symlink_to(f"../../../blobs/sha{k}")
        rows.append(json.dumps({"file_name": f"train/{k}.png", "text": f"number {k}"}))
    put(blobs / "table", "\n".join(rows))
    (root / "metadata.jsonl").symlink_to("../../blobs/table")
    data = load("metadata", root, tmp_path)
    assert everything(data) == expected(*range(4))
    assert data.skipped == []


def test_what_is_no_image_is_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(account, "NAMED", 100)
    root = tmp_path / "set"
    captioned(root, 0, 1, 2)
    for name in (".DS_Store", "._0.png", "__MACOSX/._0.png", "Thumbs.db", ".git/0.png"):
        put(root / name, picture(9))
    put(root / "a.HEIC", b"\0\0\0\x18ftypheic")
    put(root / "README.md", "about")
    put(root / "lonely.txt", "a caption without its image")
    put(root / "film.mp4", b"\0")
    for k in range(103):
        put(root / f"{k}.npy", b"\x93NUMPY")
    put(root / "1.txt", "one\n")
    put(root / "1.0.txt", "two\n")
    put(root / "1.CAPTION", "three\n")
    put(root / "2.txt", "")
    put(root / "2.10.txt", "last")
    put(root / "2.9.TXT", "first")
    data = load("folder", root, tmp_path)
    assert everything(data) == {0: ["number 0"], 1: ["three", "one", "two"], 2: ["first", "last"]}
    lines = [line for line in data.skipped if ".npy: " not in line or "further" in line]
    assert sorted(lines) == sorted(
        [
            *(
                f"{name}: hidden, or a system's own"
                for name in (".DS_Store", "._0.png", ".git", "__MACOSX", "Thumbs.db")
            ),
            "3 further files with the suffix .npy: neither an image that Pillow reads nor captions of one",
            "README.md: neither an image that Pillow reads nor captions of one",
            "a.HEIC: neither an image that Pillow reads nor captions of one",
            "film.mp4: neither an image that Pillow reads nor captions of one",
            "lonely.txt: a text without an image of its name",
        ]
    )
    assert len(data.skipped) == len(lines) + 100
    put(root / "runs" / "log.txt", "a training in the same folder writes this")
    assert load("folder", root, tmp_path).fingerprint == data.fingerprint


def a_run(folder, *records):
    for name in ("config.yaml", *records):
        put(folder / name, "{}")
    put(folder / "samples-000000.png", picture(9))


WRITTEN = ("cache", "mlruns", "runs", "samples")


def save_samples(folder):
    folder.mkdir(parents=True)
    pictures = [Picture("a bird", seed, torch.zeros(3, 4, 4, dtype=torch.uint8), None) for seed in range(2)]
    write_pictures(folder, {"a bird": pictures}, 1.0, "a model")


def written_by_clipgan(root):
    """What trainings in the data's own folder leave there."""
    for name in (".lock", ".hydra/config.yaml", "train.log"):
        put(root / "runs" / "single" / "still-preparing" / name, "")
    a_run(root / "runs" / "single" / "killed", "provenance.jsonl")
    a_run(root / "runs" / "sweep" / "0", "provenance.jsonl", "metrics.jsonl")
    put(root / "runs" / "sweep" / "multirun.yaml", "{}")
    put(root / "runs" / "sweep" / "workers" / "host-1234-0.log", "of a sweep with several workers")
    save_samples(root / "samples" / "run_8")
    put(root / "mlruns" / "1" / "meta.yaml", "{}")
    for name in ("0123456789abcdef" * 2, "models/m-" + "0123456789abcdef" * 2):
        put(root / "mlruns" / "1" / name / "artifacts" / "samples-000000.png", picture(9))

    def fill(entry):
        put(entry / "0.png", picture(9))

    cache_entry(root / "cache", "downloads", {"npm": "emoji"}, fill)


@pytest.mark.parametrize("above", ["", "photos/of/"])
def test_what_clipgan_has_written_among_the_data_is_none_and_changes_nothing(above, tmp_path):
    root = tmp_path / "set"
    for split, first in (("train", 0), ("val", 4)):
        for k in range(first, first + 4):
            put(root / f"{above}{split}" / ("even", "odd")[k % 2] / f"{k}.png", picture(k))
    before = load("imagefolder", root, tmp_path)
    assert (len(before.train), len(before.heldout)) == (4, 4)
    written_by_clipgan(root)
    assert load("imagefolder", root, tmp_path).entry == before.entry
    for name, cache in (("imagefolder", "other"), ("folder", "cache")):
        data = load(name, root, tmp_path / cache)
        assert {*everything(data)} == {*range(8)}
        assert sorted(data.skipped) == [f"{name}: {account.MADE_HERE}" for name in WRITTEN]
        assert grouped(data.skipped) == [(account.MADE_HERE, [(name, "") for name in WRITTEN])]


def test_folders_are_data_whatever_their_names(tmp_path):
    root = tmp_path / "set"
    for k, name in enumerate(("runs", "mlruns", "cache", "mlruns/1/0123", "outputs")):
        put(root / name / f"{k}.png", picture(k))
    put(root / "outputs" / ".hydra" / "config.yaml", "another program's")
    put(root / "outputs" / "config.yaml", "another program's")
    put(root / "runs" / "multirun.yaml", "of a sweep, and beside it an image")
    a_run(root / "runs" / "0", "metrics.jsonl")
    data = load("imagefolder", root, tmp_path)
    assert {*everything(data)} == {*range(5)}
    assert f"runs/0: {account.MADE_HERE}" in data.skipped


@pytest.mark.parametrize(
    ("train", "heldout"),
    [
        ("train", "test"), ("Train", "Test"), ("data/train", "data/test"), ("TRAINING", "val"), ("train", "valid"),
        ("train", "dev"), ("data/Train", "data/Validation"),
    ],
)  # fmt: skip
def test_splits_in_any_case_and_one_level_deeper(train, heldout, tmp_path):
    root = tmp_path / "set"
    captioned(root / train / "inner", 0, 1, 2)
    captioned(root / heldout, 3, 4)
    data = load("folder", root, tmp_path)
    assert (of(data.train), of(data.heldout)) == (expected(0, 1, 2), expected(3, 4))
    assert data.notes[0] == "packed are 3 training images with 3 captions and 2 held-out images with 2 captions"
    assert data.notes[1:] == [f"training images are those of {train}/, held-out images those of {heldout}/"]
    assert data.skipped == []
    rows = {k: json.dumps({"file_name": f"{train}/inner/{k}.png", "text": f"number {k}"}) for k in range(3)}
    rows |= {k: json.dumps({"file_name": f"{heldout}/{k}.png", "text": f"number {k}"}) for k in (3, 4)}
    put(root / "metadata.jsonl", "\n".join(rows.values()))
    data = load("metadata", root, tmp_path)
    assert (of(data.train), of(data.heldout)) == (expected(0, 1, 2), expected(3, 4))


def test_splits_of_shards_by_folder_and_by_name(tmp_path):
    places = ("folders/Train/0.tar", "names/cc3m-train-0.tar", "folders/val/0.tar", "names/cc3m-val-0.tar")
    for place in places:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        first = 0 if "rain" in place else 3
        with tarfile.open(tmp_path / place, "w") as tar:
            for k in range(first, first + 3):
                samples.add(tar, f"{k}.png", picture(k))
                samples.add(tar, f"{k}.txt", f"number {k}".encode())
    for root, note in (
        ("folders", "training images are those of Train/, held-out images those of val/"),
        ("names", "training images are those of the shards named train, held-out images those named val"),
    ):
        data = load("webdataset", tmp_path / root, tmp_path)
        assert (of(data.train), of(data.heldout)) == (expected(0, 1, 2), expected(3, 4, 5))
        assert data.notes[1:] == [note]


def test_images_outside_of_the_splits_are_listed(tmp_path, capsys):
    root = tmp_path / "set"
    captioned(root / "train", 0, 1)
    captioned(root / "val", 2)
    captioned(root / "test", 3, 4)
    captioned(root / "extra" / "deep", 5, 6, 7)
    captioned(root, 8)
    rows = [
        json.dumps({"file_name": f"{place}{k}.png", "text": f"number {k}"})
        for place, ks in (("train/", (0, 1)), ("val/", (2,)), ("test/", (3, 4)), ("extra/deep/", (5, 6, 7)), ("", (8,)))
        for k in ks
    ]
    put(root / "metadata.jsonl", "\n".join(rows))
    for name in ("folder", "metadata"):
        data = load(name, root, tmp_path)
        assert (of(data.train), of(data.heldout)) == (expected(0, 1), expected(2))
        lines = [line for line in data.skipped if "neither" not in line]
        assert sorted(lines) == [
            "8.png: an image outside of the splits",
            *(f"extra/deep/{k}.png: an image outside of the splits" for k in (5, 6, 7)),
            *(f"test/{k}.png: an image of another held-out split, which is not used" for k in (3, 4)),
        ]
        assert data.notes[-1] == (
            "test is another held-out split (2 images), which is not used: of several, the first of validation, valid, "
            f"val, dev, test, testing, eval is taken; data.heldout_path={root}/test takes it instead"
        )
        report_files(data)
        said = capsys.readouterr().out
        assert "4 images outside of the splits: 3 in extra/, 1 at the top of data.path, 8.png\n" in said
        assert "  2 images of another held-out split, which is not used: 2 in test/\n" in said
    other = load("folder", root, tmp_path, heldout_path=str(root / "test"))
    assert of(other.heldout) == expected(3, 4)
    assert not any("another held-out split" in line for line in [*other.skipped, *other.notes])


@pytest.mark.parametrize("heldout", ["test_images", "cat/test"])
def test_folders_that_look_like_splits_and_are_none_are_named(heldout, tmp_path):
    root = tmp_path / "set"
    for name, first in ((heldout, 0), (heldout.replace("test", "train"), 2), ("dog/test", 4), ("dog/train", 6)):
        captioned(root / name, first, first + 1)
    data = load("folder", root, tmp_path)
    assert everything(data) == expected(*range(8))
    named = sorted([heldout, "dog/test"])
    beginning = f"{named[0]}/, {named[1]}/: named like held-out images, but packed like all others, as no train/ lies"
    assert [note[: len(beginning)] for note in data.notes[1:-1]] == [beginning]


def test_held_out_images_that_another_path_replaces_are_counted(tmp_path):
    captioned(tmp_path / "set" / "train", 0, 1)
    captioned(tmp_path / "set" / "test", 2, 3)
    captioned(tmp_path / "other", 4)
    data = load("folder", tmp_path / "set", tmp_path, heldout_path=str(tmp_path / "other"))
    assert (of(data.train), of(data.heldout)) == (expected(0, 1), expected(4))
    assert data.notes[-1] == "data.heldout_path is given; not used: 2 held-out images of data.path"


def classes(root, tmp_path):
    data = load_data(DataConfig(name="imagefolder", path=str(root)), 16, tmp_path / "cache")
    return data, load_labels(data, ["shape"])


def test_the_class_is_the_first_folder_below_the_split(tmp_path):
    root = tmp_path / "set"
    names = {"n01": "tench", "n02": "dog"}
    for split, first in (("data/train", 0), ("data/Val", 8)):
        for place, kind in enumerate(names):
            for n, inner in enumerate(("images", "day")):
                k = first + 2 * place + n
                put(root / split / kind / inner / f"{k}.JPEG", picture(k, "JPEG"))
    put(root / "data" / "words.txt", "n01\ttench, Tinca tinca\nn02\tdog, domestic dog\nn03\tcat\n")
    data, labels = classes(root, tmp_path)
    assert of(data.train) == {k: [f"a photo of a {'tench' if k < 2 else 'dog'}"] for k in range(4)}
    assert of(data.heldout) == {k: [f"a photo of a {'tench' if k < 10 else 'dog'}"] for k in range(8, 12)}
    assert (labels.classes, labels.train.tolist()) == (["n01", "n02"], [0, 0, 1, 1])
    assert data.skipped == []


def test_training_images_alone_are_split_at_random_and_keep_their_classes(tmp_path):
    root = tmp_path / "set"
    for k in range(8):
        put(root / "Train" / ("cat", "dog")[k % 2] / "day" / f"{k}.png", picture(k))
    data, labels = classes(root, tmp_path)
    assert everything(data) == {k: [f"a photo of a {('cat', 'dog')[k % 2]}"] for k in range(8)}
    assert labels.classes == ["cat", "dog"]
    one = load("imagefolder", root / "Train" / "cat", tmp_path)
    assert one.notes[1:-1] == ["all images are of one class, the folder day/"]


def test_coco_names_files_by_their_paths(tmp_path):
    root = samples.coco(tmp_path / "coco", n_train=5)
    path = root / "annotations" / "captions_train2014.json"
    content = json.loads(path.read_text())
    images = {entry["id"]: entry for entry in content["images"]}
    folder = root / "train2014"
    for k, name in ((0, "a/0.jpg"), (1, "b/0.jpg"), (2, "0.jpg"), (3, "train2014/c/0.jpg"), (4, "d\\0.jpg")):
        old = folder / images[k]["file_name"]
        new = folder / name.removeprefix("train2014/").replace("\\", "/")
        new.parent.mkdir(exist_ok=True)
        old.rename(new)
        images[k]["file_name"] = name
    content["annotations"].append({"image_id": 99, "id": 1, "caption": "of nothing"})
    path.write_text(json.dumps(content))
    data = load("coco", root, tmp_path)
    assert of(data.train) == {k: [f"A photo of {k}, said in way {n}." for n in range(5)] for k in range(5)}
    assert data.skipped == []
    assert data.notes[1:] == [
        "captions_train2014.json: captions of images that are not there or not listed are not used (1)",
        "training images are those of train2014/, held-out images those of val2014/",
    ]


def test_cub_takes_every_suffix(tmp_path):
    root = samples.cub(tmp_path / "cub")
    folder = root / "CUB_200_2011" / "images" / "001.Black_footed_Albatross"
    first, second, third = sorted(folder.iterdir())
    first.rename(first.with_suffix(".JPG"))
    second.unlink()
    put(second.with_suffix(".png"), picture(1))
    put(third, b"")
    data = load("cub", root, tmp_path)
    assert set(everything(data)) == {0, 1, 3, 4, 5}
    assert all(len(captions) == 10 and f"this bird is {k}," in captions[0] for k, captions in everything(data).items())
    [line] = data.skipped
    assert line.startswith(f"{folder.name}/{third.name}: unreadable image (")


@pytest.mark.parametrize("name", ["folder", "imagefolder"])
def test_one_image_is_refused_in_plain_words(name, tmp_path):
    captioned(tmp_path / "set" / "cat", 0)
    with pytest.raises(UserError) as caught:
        load(name, tmp_path / "set", tmp_path)
    beginning = f"data.path={tmp_path}/set has 1 image: at least 2 are needed, one to train on and one to hold out"
    assert str(caught.value).startswith(beginning)


def test_packs_by_earlier_versions_are_made_anew_with_a_line(tmp_path, capsys):
    captioned(tmp_path / "set", 0, 1, 2)
    first = load("folder", tmp_path / "set", tmp_path)
    assert "earlier versions" not in capsys.readouterr().out
    entry = first.skipped_file.parent / "entry.json"
    about = json.loads(entry.read_text())
    about["source"]["version"] -= 1
    entry.write_text(json.dumps(about))
    entry.parent.rename(entry.parent.with_name("0123456789abcdef"))  # of an earlier version: another address
    again = load("folder", tmp_path / "set", tmp_path)
    assert (again.entry, again.content) == (first.entry, first.content)
    assert (
        "data=folder: earlier versions of clipgan packed some images and captions otherwise" in capsys.readouterr().out
    )


def test_one_image_is_counted_as_one(tmp_path):
    captioned(tmp_path / "set" / "train", 0, 1, 2)
    captioned(tmp_path / "set" / "val", 3)
    data = load("folder", tmp_path / "set", tmp_path)
    assert data.notes[0] == "packed are 3 training images with 3 captions and 1 held-out image with 1 caption"
