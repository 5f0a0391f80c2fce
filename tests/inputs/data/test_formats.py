"""Public data sets in their own layouts: every image keeps its captions, splits are the official ones."""

import json
import pickle

import numpy as np
import pytest

from clipgan.base.errors import UserError
from clipgan.config import DATA_SETS, DataConfig
from clipgan.inputs.data.loading import FORMATS, load_data
from tests.helpers import Payload
from tests.inputs.data import samples
from tests.inputs.data.packs import load
from tests.inputs.data.samples import number, picture, put
from tests.users import as_nobody, public_folder


def test_each_format_has_a_reader():
    assert {*DATA_SETS} == {"shapes", "emoji", *FORMATS}  # clipgan draws or fetches these two


def numbers(split):
    return [number(image) for image in split.images]


def assert_captions(data, words, each):
    """Image k has `each` captions, and all of them say `words` with its k."""
    for split in (data.train, data.heldout):
        for k, captions in zip(numbers(split), split.captions, strict=True):
            assert len(captions) == each
            assert all(words.format(k) in caption for caption in captions)


@pytest.mark.parametrize("year", ["2014", "2017"])
def test_coco(tmp_path, year):
    data = load("coco", samples.coco(tmp_path / "coco", year=year), tmp_path)
    assert numbers(data.train) == [0, 1, 2, 3, 4, 5]
    assert numbers(data.heldout) == [6, 7, 8]
    assert_captions(data, "A photo of {}, said in way", 5)
    assert data.heldout.captions[0] == [f"A photo of 6, said in way {n}." for n in range(5)]
    assert data.skipped == []


def test_coco_with_missing_damaged_and_uncaptioned_images(tmp_path):
    root = samples.coco(tmp_path / "coco")
    (root / "train2014" / "COCO_train2014_000000000001.jpg").unlink()
    put(root / "train2014" / "COCO_train2014_000000000002.jpg", picture(2, "JPEG")[:300])
    annotations = root / "annotations" / "captions_val2014.json"
    content = json.loads(annotations.read_text())
    content["annotations"] = [entry for entry in content["annotations"] if entry["image_id"] != 7]
    annotations.write_text(json.dumps(content))
    data = load("coco", root, tmp_path)
    assert (numbers(data.train), numbers(data.heldout)) == ([0, 3, 4, 5], [6, 8])
    reasons = sorted(line.split("/")[-1] for line in data.skipped)
    assert reasons[0] == "COCO_train2014_000000000001.jpg: no such image"
    assert reasons[1].startswith("COCO_train2014_000000000002.jpg: unreadable image (")
    assert reasons[2] == "COCO_val2014_000000000007.jpg: no caption"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda root: (root / "annotations/captions_train2014.json").unlink(),
            "train2014.json and train2014/ .*no such",
        ),
        (lambda root: (root / "annotations/captions_val2014.json").unlink(), "captions_val2014.json is missing"),
        (lambda root: put(root / "annotations/captions_val2014.json", '{"images": [{"id": 1'), "an MS-COCO annotation"),
        (lambda root: put(root / "annotations/captions_val2014.json", '{"images": ["a"]}'), "an MS-COCO annotation"),
        (lambda root: samples.coco(root, year="2017"), "2014 and 2017: keep one"),
    ],
)
def test_a_folder_that_is_no_coco(tmp_path, change, words):
    change(samples.coco(tmp_path / "coco"))
    with pytest.raises(UserError, match=words):
        load("coco", tmp_path / "coco", tmp_path)


def test_cub_by_its_own_split(tmp_path):
    data = load("cub", samples.cub(tmp_path / "cub"), tmp_path)
    assert (numbers(data.train), numbers(data.heldout)) == ([1, 2, 3, 5], [0, 4])
    assert_captions(data, "this bird is {}, way", 10)


def test_cub_by_the_papers_splits(tmp_path):
    root = samples.cub(tmp_path / "cub")
    names = [f"{path.parent.name}/{path.stem}" for path in (root / "CUB_200_2011" / "images").glob("*/*.jpg")]
    for split, third in (("train", False), ("test", True)):  # AttnGAN's lists were pickled by Python 2, protocol 0
        chosen = [name for name in names if ("_0002_" in name) == third]
        put(root / split / "filenames.pickle", pickle.dumps(chosen, protocol=0))
    data = load("cub", root, tmp_path)
    assert (numbers(data.train), numbers(data.heldout)) == ([0, 1, 3, 4], [2, 5])
    put(root / "testclasses.txt", "002.Laysan_Albatross\n")
    data = load("cub", root, tmp_path)
    assert (numbers(data.train), numbers(data.heldout)) == ([0, 1, 2], [3, 4, 5])


def test_cub_without_captions(tmp_path):
    root = samples.cub(tmp_path / "cub")
    (root / "text_c10").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="not CUB-200-2011 with captions: it has no text_c10/"):
        load("cub", root, tmp_path)


def test_celeba_hq(tmp_path):
    root = samples.celeba_hq(tmp_path / "faces")
    data = load("celeba_hq", root, tmp_path)
    assert (numbers(data.train), numbers(data.heldout)) == (list(range(3, 12)), [0, 1, 2])
    assert_captions(data, "She is {}, way", 10)
    (root / "test" / "filenames.pickle").unlink()
    data = load("celeba_hq", root, tmp_path, heldout_fraction=0.25)
    assert (len(data.train), len(data.heldout)) == (9, 3)


@pytest.mark.parametrize("closed", ["faces", "faces/test"])
def test_a_closed_folder_is_refused_and_no_split_is_drawn_instead(closed):
    with public_folder() as folder:
        root, cache = samples.celeba_hq(folder / "faces"), folder / "cache"
        cache.mkdir(mode=0o777)
        cache.chmod(0o777)
        (folder / closed).chmod(0o700)
        with as_nobody(), pytest.raises(PermissionError) as caught:
            load_data(DataConfig(name="celeba_hq", path=str(root)), 16, cache)
        assert str(caught.value.filename).startswith(str(folder / closed))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps(Payload()), "it names builtins.setattr"),
        (b"xx", "not a list"),
        (pickle.dumps({"0": 1}), "holds a dict"),
        (pickle.dumps(["0", 1]), "holds a list with int in place of a string"),
    ],
)
def test_a_list_of_names_executes_nothing(tmp_path, content, words):
    root = samples.celeba_hq(tmp_path / "faces")
    put(root / "test" / "filenames.pickle", content)
    with pytest.raises(UserError, match=rf"test/filenames\.pickle is not a list of file names: .*{words}|{words}"):
        load("celeba_hq", root, tmp_path)
    assert not Payload.executed


def test_imagefolder_with_split_folders(tmp_path):
    data = load("metadata", samples.imagefolder_jsonl(tmp_path / "set"), tmp_path)
    assert (numbers(data.train), numbers(data.heldout)) == ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9])
    assert_captions(data, "number {}", 1)
    assert data.skipped == [
        f"test/{k:04d}.png: an image of another held-out split, which is not used" for k in range(10, 15)
    ]


def test_imagefolder_with_one_table(tmp_path):
    data = load("metadata", samples.imagefolder_csv(tmp_path / "set"), tmp_path, heldout_fraction=0.3)
    assert (len(data.train), len(data.heldout)) == (4, 2)
    captions = dict(zip(numbers(data.train), data.train.captions, strict=True)) | dict(
        zip(numbers(data.heldout), data.heldout.captions, strict=True)
    )
    assert captions[0] == ["number 0, a line more", "number 0 again"]
    assert captions[4] == ["number 4, a line more"]


def test_imagefolder_with_bad_rows(tmp_path):
    root = samples.imagefolder_jsonl(tmp_path / "set") / "train"
    put(tmp_path / "secret.png", picture(9))
    put(
        root / "metadata.jsonl",
        '{"file_name": "0000.png", "text": ["one", "two"]}\n{"file_name": "0001.png"\n[]\n'
        '{"file_name": "../../../secret.png", "text": "outside"}\n'
        '{"file_name": "/0000.png", "text": "absolute"}\n{"file_name": "gone.png", "text": "gone"}\n'
        '{"file_name": "0002.png", "text": null}\n{"file_name": "0003.png", "text": "three"}\n',
    )
    data = load("metadata", tmp_path / "set", tmp_path)
    assert list(data.train.captions) == [["one", "two"], ["three"]]
    assert numbers(data.train) == [0, 3]
    skipped = "\n".join(data.skipped)
    for words in (
        "train/metadata.jsonl:2: not JSON (", "train/metadata.jsonl:3: not a JSON object",
        "train/metadata.jsonl:4: outside of the folder (../../../secret.png)",
        "train/metadata.jsonl:5: an absolute path, and file_name is one below the table's folder (/0000.png)",
        "train/gone.png: no such image",
        "train/0001.png: no caption", "train/0002.png: no caption", "train/0004.png: no caption",
    ):  # fmt: skip
        assert words in skipped


def test_imagefolder_columns(tmp_path):
    root = samples.imagefolder_csv(tmp_path / "set")
    with pytest.raises(UserError, match=r"metadata\.csv needs .*data\.caption_column=prompt; it has file_name, source"):
        load("metadata", root, tmp_path, caption_column="prompt")
    data = load("metadata", root, tmp_path, caption_column="source")
    assert data.train.captions[-1] == ["here"]
    (root / "metadata.csv").unlink()
    with pytest.raises(UserError, match=r"has no metadata\.jsonl and no metadata\.csv; data=folder reads a \.txt"):
        load("metadata", root, tmp_path)


def test_a_second_path_is_held_out(tmp_path):
    first, second = samples.img2dataset(tmp_path / "a"), samples.img2dataset(tmp_path / "b", shards=1, per_shard=3)
    data = load("webdataset", first, tmp_path, heldout_path=str(second))
    assert (len(data.train), len(data.heldout)) == (10, 3)
    with pytest.raises(UserError, match=r"data\.heldout_path=/nowhere does not exist"):
        load("webdataset", first, tmp_path, heldout_path="/nowhere")
    with pytest.raises(UserError, match=r"\{00000\.\.1\}\.tar does not exist.*patterns are not expanded"):
        load("webdataset", first / "{00000..1}.tar", tmp_path)


@pytest.mark.parametrize("name", ["folder", "metadata", "imagefolder", "coco", "cub", "celeba_hq", "cifar10"])
def test_a_file_in_place_of_a_folder_is_one_message(tmp_path, name):
    put(tmp_path / "set.zip", "a file")
    with pytest.raises(UserError, match=rf"^data\.path={tmp_path}/set\.zip (is not|has no) "):
        load(name, tmp_path / "set.zip", tmp_path)


def test_a_message_about_a_second_path_names_its_setting(tmp_path):
    first, bad, empty = samples.img2dataset(tmp_path / "a"), tmp_path / "bad.tar", tmp_path / "empty"
    put(bad, b"no tar" * 200)
    empty.mkdir()
    with pytest.raises(UserError, match=rf"^data\.heldout_path={bad} has no shard that can be read"):  # listed later
        load("webdataset", first, tmp_path, heldout_path=str(bad))
    with pytest.raises(UserError, match=rf"^data\.heldout_path={empty} has no \.tar"):
        load("webdataset", first, tmp_path, heldout_path=str(empty))


def _all_birds_are_for_training(root):
    samples.cub(root)
    split = root / "CUB_200_2011" / "train_test_split.txt"
    split.write_text(split.read_text().replace(" 0\n", " 1\n"))


def _names_of_other_faces(root):
    samples.celeba_hq(root)
    for split in ("train", "test"):
        put(root / split / "filenames.pickle", pickle.dumps(["00000"]))


def _an_empty_folder(root):
    for k in range(2):
        put(root / "train" / f"{k}.png", picture(k))
        put(root / "train" / f"{k}.txt", "a caption")
    (root / "val").mkdir()


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("cub", _all_birds_are_for_training, "heldout split .*: the split is that of train_test_split.txt$"),
        ("celeba_hq", _names_of_other_faces, "train split .*filenames.pickle; the lists of .* such as 00000$"),
        ("folder", _an_empty_folder, "heldout split .* held-out images those of val/$"),
    ],
)
def test_a_split_of_its_own_without_images_is_named_and_no_seed_is_advised(tmp_path, name, make, words):
    make(tmp_path / "set")
    with pytest.raises(UserError, match=words) as caught:
        load(name, tmp_path / "set", tmp_path)
    assert f"repair data.path={tmp_path}/set, or its split: " in str(caught.value)
    assert "data.seed" not in str(caught.value)


def test_faces_without_images(tmp_path):
    root = samples.celeba_hq(tmp_path / "faces")
    for path in (root / "images").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"not Multi-Modal-CelebA-HQ: .*/images has no NUMBER\.jpg \(it is empty\)"):
        load("celeba_hq", root, tmp_path)


def test_repeated_images_are_reported_and_kept(tmp_path):
    root = samples.coco(tmp_path / "coco")
    put(root / "val2014" / "COCO_val2014_000000000006.jpg", picture(2, "JPEG"))
    put(root / "train2014" / "COCO_train2014_000000000004.jpg", picture(2, "JPEG"))
    data = load("coco", root, tmp_path)
    assert (len(data.train), len(data.heldout)) == (6, 3)
    assert data.duplicates == [
        f"{place} repeats train: train2014/COCO_train2014_000000000002.jpg"
        for place in (
            "train: train2014/COCO_train2014_000000000004.jpg", "heldout: val2014/COCO_val2014_000000000006.jpg",
        )
    ]  # fmt: skip


def test_loading_again_lists_nothing_new(tmp_path):
    root = samples.img2dataset(tmp_path / "set")
    first = load("webdataset", root, tmp_path)
    assert load("webdataset", root, tmp_path).fingerprint == first.fingerprint
    samples.img2dataset(root, shards=3)
    again = load("webdataset", root, tmp_path)
    assert again.fingerprint != first.fingerprint
    assert len(again.train) + len(again.heldout) == 15
    np.testing.assert_array_equal(sorted(numbers(again.train) + numbers(again.heldout)), range(15))


@pytest.mark.parametrize("name", ["{split}/00001.tar", "deep/{split}/more/00001.tar"])
def test_a_shard_that_moves_to_the_other_split_makes_another_set(name, tmp_path):
    root = tmp_path / "set"
    moved = {split: root / name.format(split=split) for split in ("train", "val")}
    samples.img2dataset(tmp_path / "made", shards=3)
    for shard, split in (("00000.tar", "train"), ("00001.tar", "train"), ("00002.tar", "val")):
        put(moved[split].with_name(shard), (tmp_path / "made" / shard).read_bytes())
    before = load("webdataset", root, tmp_path)
    moved["train"].rename(moved["val"])
    after = load("webdataset", root, tmp_path)
    assert (numbers(before.train), numbers(before.heldout)) == ([*range(10)], [*range(10, 15)])
    assert (numbers(after.train), numbers(after.heldout)) == ([*range(5)], [*range(5, 15)])
    assert after.fingerprint != before.fingerprint
