"""The three shipped structures: active weights against the README's formulas, values against NumPy."""

import numpy as np
import pytest
import torch

from clipgan.losses.structure import active_terms, structure_loss
from tests.helpers import make_config
from tests.losses.test_contrastive import reference, rows

S = {"D": 1.0, "CLIP": 2.0, "ResNet": 1.0}
C = {"it": 2.5, "ii": 0.5}
H = 0.2
TERMS = {  # the table of notation: phase, space -> pairs
    "symmetric": {
        ("G", "D"): "it ii", ("G", "CLIP"): "it ii", ("G", "ResNet"): "it ii", ("D", "D"): "it ii",
    },
    "asymmetric": {("G", "D"): "it", ("G", "CLIP"): "it ii", ("G", "ResNet"): "ii", ("D", "D"): "it"},
    "lafite": {("G", "D"): "it", ("G", "CLIP"): "it", ("D", "D"): "it"},
}  # fmt: skip


def terms_of(structure, *overrides):
    return active_terms(make_config(f"loss={structure}", f"h={H}", "C_it=2.5", "C_ii=0.5", *overrides))


@pytest.mark.parametrize("structure", TERMS)
def test_active_weights_are_the_formulas(structure):
    expected, actual = {}, {}
    for (phase, space), pairs in TERMS[structure].items():
        for pair in pairs.split():
            weight, name = S[space] * C[pair], f"{phase}/{space}/{pair}"
            expected[name] = 0.0 if structure == "lafite" else weight
            expected[name + "_het"] = weight if structure == "lafite" else weight * H
    for term in terms_of(structure):
        actual |= {term.name: term.homologous, term.name + "_het": term.heterologous}
    assert actual == pytest.approx(expected)


def test_symmetric_has_the_twelve_weights_of_the_generator():
    weights = [w for t in terms_of("symmetric") if t.phase == "G" for w in (t.homologous, t.heterologous)]
    assert len(weights) == 12
    assert sum(weights) == pytest.approx((1 + 2 + 1) * (2.5 + 0.5) * (1 + H))


def test_source_reading_puts_h_on_the_generator():
    terms = terms_of("asymmetric", "heterologous=source")
    for term in terms:
        weight = S[term.space] * C[term.pair] * (H if term.phase == "G" else 1)
        assert (term.homologous, term.heterologous) == pytest.approx((weight / 2, weight / 2))


@pytest.mark.parametrize(("override", "gone"), [("C_ii=0", "ii"), ("C_it=0", "it")])
def test_a_weight_of_zero_is_no_term(override, gone):
    terms = terms_of("symmetric", override)
    assert terms
    assert gone not in {term.pair for term in terms}


def test_a_space_of_weight_zero_is_never_embedded():
    terms = [t for t in terms_of("symmetric", "S.ResNet=0") if t.phase == "G"]
    asked = []

    def images(space):
        asked.append(space)
        return torch.from_numpy(rows(1))

    structure_loss(terms, images, lambda space, pair: torch.from_numpy(rows(2)))
    assert asked == ["D", "CLIP"]


@pytest.mark.parametrize("structure", TERMS)
@pytest.mark.parametrize("phase", ["G", "D"])
def test_loss_equals_the_loop(structure, phase):
    widths = {"D": 8, "CLIP": 8, "ResNet": 5}
    images = {space: rows(seed, d=width) for seed, (space, width) in enumerate(widths.items())}
    targets = {
        (space, pair): rows(10 + 2 * i + j, d=width)
        for i, (space, width) in enumerate(widths.items())
        for j, pair in enumerate(("it", "ii"))
    }
    tau = 0.5
    expected, values = 0.0, {}
    for (where, space), pairs in TERMS[structure].items():
        for pair in pairs.split() if where == phase else ():
            there = reference(images[space], targets[space, pair], tau)
            back = reference(targets[space, pair], images[space], tau)
            factor = (0, 1) if structure == "lafite" else (1, H)
            expected += S[space] * C[pair] * (factor[0] * there + factor[1] * back)
            values[f"{phase}/{space}/{pair}"] = there
            values[f"{phase}/{space}/{pair}_het"] = back
    total, ours = structure_loss(
        [term for term in terms_of(structure) if term.phase == phase],
        lambda space: torch.from_numpy(images[space]).float(),
        lambda space, pair: torch.from_numpy(targets[space, pair]).float(),
    )
    assert float(total) == pytest.approx(expected, rel=1e-5)
    assert {name: float(value) for name, value in ours.items()} == pytest.approx(values, rel=1e-5)


def test_no_term_costs_nothing():
    assert structure_loss([], None, None) == (0.0, {})  # type: ignore[arg-type]


def test_every_target_is_used_once():
    terms = [t for t in terms_of("symmetric") if t.phase == "G"]
    asked = []

    def target(space, pair):
        asked.append((space, pair))
        return torch.from_numpy(rows(3))

    structure_loss(terms, lambda space: torch.from_numpy(rows(1)), target)
    assert sorted(asked) == sorted((space, pair) for space in S for pair in C)
    assert np.unique(asked, axis=0).shape == (6, 2)
