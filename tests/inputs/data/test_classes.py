"""Data sets with a class for each image, in the layouts in which they are published."""

import pickle

import numpy as np
import pytest

from clipgan.base.errors import UserError
from clipgan.config import DataConfig
from clipgan.inputs.data.formats.cifar import VERSIONS
from clipgan.inputs.data.labels import load_labels
from clipgan.inputs.data.loading import load_data
from tests.inputs.data.samples import number, picture, put


def load(name, path, cache, **settings):
    data = load_data(DataConfig(name=name, path=str(path), **settings), 16, cache)
    return data, load_labels(data, ["shape"])


@pytest.mark.parametrize("names", ["classes.txt", "Classes.TXT"])
def test_imagenets_layout(tmp_path, names):
    for split, count in (("train", 3), ("val", 2)):
        for k, wnid in enumerate(("n01440764", "n02084071")):
            for n in range(count):
                put(tmp_path / "set" / split / wnid / f"{wnid}_{n}.JPEG.png", picture(2 * n + k))
    put(tmp_path / "set" / names, "n01440764 tench, Tinca tinca\nn02084071 dog\n")
    data, labels = load("imagefolder", tmp_path / "set", tmp_path / "cache")
    assert labels.classes == ["n01440764", "n02084071"]
    for split, of in ((data.train, labels.train), (data.heldout, labels.heldout)):
        assert [number(image) % 2 for image in split.images] == of.tolist()
        assert [captions[0] for captions in split.captions] == [
            ["a photo of a tench", "a photo of a dog"][k] for k in of
        ]
    assert (len(data.train), len(data.heldout)) == (6, 4)


def test_a_folder_for_each_class_without_a_split(tmp_path):
    for k, kind in enumerate(("red_fox", "wolf")):
        for n in range(6):
            put(tmp_path / "set" / kind / f"{n}.png", picture(2 * n + k))
    data, labels = load("imagefolder", tmp_path / "set", tmp_path / "cache", heldout_fraction=0.25)
    assert (len(data.train), len(data.heldout)) == (9, 3)
    assert [number(image) % 2 for image in data.train.images] == labels.train.tolist()
    assert {captions[0] for captions in data.train.captions} == {"a photo of a red fox", "a photo of a wolf"}
    put(tmp_path / "set" / "stray.png", picture(1))
    data, _ = load("imagefolder", tmp_path / "set", tmp_path / "cache", heldout_fraction=0.25)
    assert (len(data.train), len(data.heldout)) == (9, 3)
    assert data.skipped == ["stray.png: not in a class's folder, CLASS/NAME.png"]


def cifar(root, name, per_file=4):
    """Image k of a file is of one colour, (10 k, 0, 0), and of class k mod 3."""
    version = VERSIONS[name]
    for file in (*version.train, *version.heldout):
        records = b""
        for k in range(per_file):
            pixels = np.zeros((3, 32, 32), np.uint8)
            pixels[0] = 10 * k
            records += bytes([7] * (version.labels - 1) + [k % 3]) + pixels.tobytes()
        put(root / file, records)
    put(root / version.names, "airplane\ncat\naquarium_fish\n")
    return root


@pytest.mark.parametrize(("name", "files"), [("cifar10", 5), ("cifar100", 1)])
def test_cifars_binary_version(tmp_path, name, files):
    cifar(tmp_path / "above" / VERSIONS[name].folder, name)
    data, labels = load(name, tmp_path / "above", tmp_path / "cache")
    assert (len(data.train), len(data.heldout)) == (4 * files, 4)
    assert labels.classes == ["airplane", "aquarium_fish", "cat"]
    kinds = [labels.classes[label] for label in labels.heldout]
    assert kinds == ["airplane", "cat", "aquarium_fish", "airplane"]
    assert [number(image) for image in data.heldout.images] == [0, 1, 2, 3]
    assert data.train.captions[2] == ["a photo of a aquarium fish"]


def test_cifar_that_cannot_be_read(tmp_path):
    root = tmp_path / "python"
    put(root / "data_batch_1", pickle.dumps({b"data": []}))
    with pytest.raises(UserError, match=r"no data_batch_1\.bin; the python version .* not read: .*cifar-10-binary"):
        load("cifar10", root, tmp_path / "cache")
    damaged = cifar(tmp_path / "damaged", "cifar10")
    for content in (b"x" * 100, b""):
        (damaged / "test_batch.bin").write_bytes(content)
        with pytest.raises(UserError, match=rf"test_batch\.bin is damaged: its length is {len(content)}, .*3073"):
            load("cifar10", damaged, tmp_path / "cache")
    other = cifar(tmp_path / "other", "cifar10")
    put(other / "batches.meta.txt", "airplane\ncat\n")
    with pytest.raises(UserError, match=r"damaged: it has label 2, but labels are 0 to 1"):
        load("cifar10", other, tmp_path / "cache")
    for names, words in ((b"cat\n\xff\n", "can't decode byte 0xff"), (b"\n", "it names no class")):
        (other / "batches.meta.txt").write_bytes(names)
        with pytest.raises(UserError, match=rf"batches\.meta\.txt is damaged: .*{words}"):
            load("cifar10", other, tmp_path / "cache")


def test_a_name_of_two_words_in_cifar_is_one_class(tmp_path):
    root = cifar(tmp_path / "set", "cifar10")
    put(root / "batches.meta.txt", "air plane\ncat\nfish\n")
    data, labels = load("cifar10", root, tmp_path / "cache")
    assert labels.classes == ["air plane", "cat", "fish"]
    assert [captions for captions in data.heldout.captions][:3] == [
        ["a photo of a air plane"], ["a photo of a cat"], ["a photo of a fish"]
    ]  # fmt: skip
