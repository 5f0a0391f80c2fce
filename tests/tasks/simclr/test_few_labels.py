"""Which images keep their labels: as many of each class, by the seed, and refusals of shares that do not fit."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from clipgan.base.errors import UserError
from clipgan.inputs.data.labels import Labels
from clipgan.tasks.simclr.few_labels import labelled_images
from tests.helpers import make_config

CLASSES = ["circle", "square", "star"]


def labels_of(*counts):
    """So many training images of each class, in mixed order."""
    of = np.repeat(np.arange(len(counts)), counts)
    return Labels(CLASSES, np.random.default_rng(0).permutation(of), np.arange(3))


@cache
def pretraining():
    return make_config("task=simclr")


def chosen(labels, *shares, seed=0, processes=1):
    simclr = replace(pretraining().simclr, few_labels=list(shares))
    return labelled_images(replace(pretraining(), simclr=simclr, seed=seed, processes=processes), labels)


def test_each_class_has_the_same_number_and_a_smaller_share_is_a_part_of_a_larger_one():
    labels = labels_of(100, 200, 300)
    found = chosen(labels, 0.01, 0.1, 0.255)
    assert list(found) == ["1pct", "10pct", "25.5pct"]
    for rows, each in zip(found.values(), (2, 20, 51), strict=True):
        assert np.bincount(labels.train[rows]).tolist() == [each] * 3
        assert len(set(rows.tolist())) == 3 * each
    assert set(found["1pct"].tolist()) < set(found["10pct"].tolist()) < set(found["25.5pct"].tolist())


def test_a_class_of_held_out_images_alone_has_no_labels():
    labels = labels_of(100, 0, 100)
    assert np.bincount(labels.train[chosen(labels, 0.1)["10pct"]]).tolist() == [10, 0, 10]


def test_the_seed_alone_decides():
    labels = labels_of(100, 100, 100)
    first, again, other = (chosen(labels, 0.1, seed=seed)["10pct"].tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("counts", "share", "processes", "message"),
    [
        ((100, 100, 100), 0.001, 1, r"simclr.few_labels=0.001 is too few labels: .*300 training.*at least 0.01$"),
        ((290, 200, 10), 0.1, 1, r"simclr.few_labels=0.1 is too many labels: it takes 17 .*star has 10; take at most "),
        ((100, 100, 100), 0.01, 4, r"simclr.few_labels=0.01 is too few labels: 3 images for 4 processes"),
    ],
)
def test_shares_that_do_not_fit_are_refused(counts, share, processes, message):
    with pytest.raises(UserError, match=message):
        chosen(labels_of(*counts), share, processes=processes)


@pytest.mark.parametrize(("counts", "asked"), [((290, 200, 10), 0.1), ((4567, 15433), 0.9)])
def test_the_share_that_a_refusal_names_is_allowed(counts, asked):
    labels = labels_of(*counts)
    with pytest.raises(UserError, match="too many labels") as caught:
        chosen(labels, asked)
    [images] = chosen(labels, float(str(caught.value).rpartition("at most ")[2])).values()
    assert np.bincount(labels.train[images]).tolist() == [min(counts)] * len(counts)
