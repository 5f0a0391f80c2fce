"""Which class an image has."""

import json

import numpy as np
import pytest
import torch

from clipgan.base.errors import UserError
from clipgan.inputs.data.labels import load_labels, of_shapes
from clipgan.inputs.data.pack import PackedData, Split
from clipgan.inputs.data.shapes import Scene, Thing, caption, render
from clipgan.metrics.shapes_oracle import read


def thing(colour, shape, size="large"):
    return Thing(colour, size, shape, (0.0, 0.0, 0.0))


def data(name, train, heldout, tmp_path):
    splits = {}
    for split, entries in (("train", train), ("heldout", heldout)):
        images = np.zeros((len(entries), 3, 8, 8), np.uint8)
        names = tmp_path / f"{split}.jsonl"
        names.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        splits[split] = Split(images, entries, names=names)
    return PackedData(name, "f", **splits, x_flip=False, skipped=[], skipped_file=tmp_path)


@pytest.mark.parametrize("relation", ["left of", "right of", "above", "below"])
def test_the_class_of_two_shapes_is_that_of_the_left_or_upper_one_whatever_the_caption_says_first(relation):
    scene = Scene((thing("red", "star"), thing("blue", "circle", "small")), relation, "white")
    texts = [[caption(scene, np.random.default_rng(seed))] for seed in range(12)]
    assert len({text[0].split()[2] for text in texts}) == 2  # both objects come first now and then
    split = Split(np.zeros((12, 3, 8, 8), np.uint8), texts)
    [found] = set(of_shapes(split, ["shape", "colour", "size", "background", "relation"]))
    [seen] = read(torch.tensor(render(scene, 64).transpose(2, 0, 1)[None]))
    leading = min(seen.things, key=lambda each: each.x if relation in ("left of", "right of") else each.y)
    arrangement = "beside" if relation in ("left of", "right of") else "over"
    assert found == f"{leading.shape} {leading.colour} {leading.size} white {arrangement}"


def test_a_single_shape_is_its_own_class():
    scene = Scene((thing("green", "cross"),), None, "black")
    split = Split(np.zeros((1, 3, 8, 8), np.uint8), [[caption(scene, np.random.default_rng(0))]])
    assert of_shapes(split, ["colour"]) == ["green"]
    assert of_shapes(split, ["relation"]) == ["alone"]


def test_emoji_have_their_packages_categories(tmp_path):
    train = [["cat", "cat, animals & nature, animal mammal"], ["flag: a, b", "flag: a, b, flags, flag"]]
    labels = load_labels(data("emoji", train, train[:1], tmp_path), ["shape"])
    assert labels.classes == ["animals & nature", "flags"]
    assert labels.train.tolist() == [0, 1]
    assert labels.heldout.tolist() == [0]


def test_folders_are_classes(tmp_path):
    train = ["train/n02/b.png", "train/n01/a.png", "train/n02/c.png"]
    labels = load_labels(data("imagefolder", train, ["val/n01/z.png"], tmp_path), ["shape"])
    assert (labels.classes, labels.train.tolist(), labels.heldout.tolist()) == (["n01", "n02"], [1, 0, 1], [0])


def test_a_set_without_classes_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"data=folder has no classes.*imagefolder, cifar10"):
        load_labels(data("folder", [["a"]], [["b"]], tmp_path), ["shape"])
    with pytest.raises(UserError, match=r"one class \(n01\)"):
        load_labels(data("imagefolder", ["train/n01/a.png"], ["val/n01/z.png"], tmp_path), ["shape"])
    with pytest.raises(UserError, match=r"no held-out image is of a class .*train images n01, .* heldout images n02"):
        load_labels(data("imagefolder", ["train/n01/a.png"], ["val/n02/z.png"], tmp_path), ["shape"])
