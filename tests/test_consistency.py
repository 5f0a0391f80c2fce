"""The consistency of positive pairs, against loops and against graphs whose spectrum is known."""

import json
import math

import numpy as np
import pytest
import torch

from clipgan.base.errors import UserError
from clipgan.consistency import Options, choose, co_occurrence, main, measure, parse
from tests.tiny import tiny_simclr

pytestmark = pytest.mark.numeric


def test_the_graph_is_the_loop():
    random = np.random.default_rng(0)
    images, queries = (random.standard_normal((n, 4)) for n in (5, 8))
    owners = [0, 0, 1, 2, 3, 3, 3, 4]
    taken = np.zeros((5, 5))
    for x in range(5):
        own = [q for q, owner in enumerate(owners) if owner == x]
        for q in own:
            weights = [math.exp(float(queries[q] @ images[y]) / 0.5) for y in range(5)]
            taken[x] += np.array(weights) / sum(weights) / len(own)
    expected = (taken + taken.T) / 10
    found = co_occurrence(torch.tensor(queries), torch.tensor(owners), torch.tensor(images), 0.5)
    torch.testing.assert_close(found, torch.tensor(expected))
    assert float(found.sum()) == pytest.approx(1)
    labels = [0, 0, 1, 1, 1]
    pairs = [(x, y) for x in range(5) for y in range(5) if x != y]
    same = sum(expected[x, y] for x, y in pairs if labels[x] == labels[y]) / sum(expected[x, y] for x, y in pairs)
    assert measure(found, torch.tensor(labels)).same_class == pytest.approx(same)


def test_an_eigenvalue_of_one_for_each_part():
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    graph = (labels[:, None] == labels).double()
    found = measure(graph / graph.sum(), labels)
    assert found.same_class == 1
    assert found.spectrum == pytest.approx([1, 1, 1, 0, 0, 0], abs=1e-9)
    mixed = measure(torch.ones(6, 6, dtype=torch.float64) / 36, labels)
    assert mixed.same_class == pytest.approx((3 * 2 + 2) / 30)  # chance
    assert mixed.spectrum == pytest.approx([1, 0, 0, 0, 0, 0], abs=1e-9)


@pytest.mark.exact
def test_images_are_drawn_from_so_many_classes():
    labels = np.arange(200) % 20
    chosen = choose(labels, Options(n_classes=3, n_images=25))
    assert len(set(labels[chosen])) == 3
    assert len(chosen) == 25
    assert len(choose(labels, Options(n_classes=3, n_images=1000))) == 30
    assert not np.array_equal(choose(labels, Options(n_classes=3, n_images=25, seed=1)), chosen)
    with pytest.raises(UserError, match=r"n_images=3 is not allowed.*more than n_classes=3"):  # no eigenvalue follows
        choose(labels, Options(n_classes=3, n_images=3))


@pytest.mark.exact
def test_another_task_is_refused(monkeypatch):
    monkeypatch.setattr("sys.argv", ["consistency", "task=gan"])
    with pytest.raises(SystemExit, match="task=gan is not allowed"):
        main()


@pytest.mark.exact
@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["n_classes=1"], "n_classes=1.*>= 2"), (["n_images=many"], "n_images=many.*whole number"),
     (["split=test"], "split=test.*train or heldout"), (["out="], "out= is empty")],
)  # fmt: skip
def test_bad_values_are_quoted(arguments, message):
    with pytest.raises(UserError, match=message):
        parse(arguments)


@pytest.mark.exact
def test_a_misspelt_setting_of_the_command_is_suggested(monkeypatch):
    monkeypatch.setattr("sys.argv", ["consistency", "n_clases=3"])
    with pytest.raises(SystemExit, match=r"no key n_clases: did you mean n_classes\?"):
        main()


@pytest.mark.slow
def test_the_command_measures_and_draws(cache_dir, tmp_path, monkeypatch, capsys):
    overrides = [text for text in tiny_simclr(cache_dir) if text != "task=simclr"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["consistency", *overrides, "n_classes=3", "n_images=50", "views=2"])
    main()
    assert "fewer than n_images=50" in capsys.readouterr().out
    found = json.loads((tmp_path / "runs/consistency/consistency.json").read_text())
    assert len(found["classes"]) == 3
    assert found["image"]["spectrum"][0] == pytest.approx(1)
    assert len(found["text"]["spectrum"]) == found["n_images"]
    assert "<svg" in (tmp_path / "runs/consistency/consistency.svg").read_text()
    monkeypatch.setattr("sys.argv", ["consistency", *overrides, "n_classes=6", "n_images=7", "views=1"])
    main()
    assert "7 images of 4 classes, fewer than n_classes=6;" in capsys.readouterr().out  # two are not drawn
