"""The three shipped structures: active weights against the formulas of docs/losses.md, values against NumPy."""

import numpy as np
import pytest
import torch

from clipgan.config import PairsConfig, from_yaml
from clipgan.models.losses.contrastive import contrast
from clipgan.models.losses.pairs import select
from clipgan.models.losses.structure import active_terms, structure_loss, weighted_sum
from tests.helpers import ROOT, compose_node, make_config
from tests.models.losses.test_contrastive import reference, rows
from tests.numeric import CLOSE

pytestmark = pytest.mark.numeric

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


@pytest.mark.exact
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


@pytest.mark.exact
def test_symmetric_has_the_twelve_weights_of_the_generator():
    weights = [w for t in terms_of("symmetric") if t.phase == "G" for w in (t.homologous, t.heterologous)]
    assert len(weights) == 12
    assert sum(weights) == pytest.approx((1 + 2 + 1) * (2.5 + 0.5) * (1 + H))


@pytest.mark.exact
def test_source_reading_puts_h_on_the_generator():
    terms = terms_of("asymmetric", "heterologous=source")
    for term in terms:
        weight = S[term.space] * C[term.pair] * (H if term.phase == "G" else 1)
        assert (term.homologous, term.heterologous) == pytest.approx((weight / 2, weight / 2))


@pytest.mark.exact
@pytest.mark.parametrize(("override", "gone"), [("C_ii=0", "ii"), ("C_it=0", "it")])
def test_a_weight_of_zero_is_no_term(override, gone):
    terms = terms_of("symmetric", override)
    assert terms
    assert gone not in {term.pair for term in terms}


@pytest.mark.exact
def test_a_term_has_its_own_weights_first():
    terms = terms_of(
        "symmetric",
        "~loss.generator.D",
        "+loss.generator.CLIP={it: {S: 3, C: 4, h: 0.5, temperature: 0.07}, ii: {h: 0}}",
    )
    first, second = terms[:2]
    assert (first.homologous, first.heterologous, first.temperature) == (12, 6, 0.07)
    assert (second.homologous, second.heterologous, second.temperature) == (2 * 0.5, 0, 0.5)


@pytest.mark.exact
def test_the_structure_of_the_docs_in_a_folder_of_its_own(tmp_path):
    lines = (ROOT / "docs" / "losses.md").read_text().split("    name: mine\n")[1].split("\n\n")[0]
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "mine.yaml").write_text("name: mine\n" + lines.replace("\n    ", "\n").removeprefix("    "))
    node = compose_node(f"hydra.searchpath=[file://{tmp_path}]", "loss=mine", "h=2", "C_it=0.5", "C_ii=0.5")
    terms = {
        term.name: (term.homologous, term.heterologous, term.temperature) for term in active_terms(from_yaml(node))
    }
    assert terms == {
        "G/D/it": (0.5, 1, 0.5),
        "G/CLIP/it": (1, 0.1, 0.07),
        "G/CLIP/ii": (1, 2, 0.5),
        "G/ResNet/ii": (2, 4, 0.5),
        "D/D/it": (0.5, 1, 0.5),
    }


@pytest.mark.exact
def test_a_terms_own_h_in_the_source_reading():
    terms = terms_of("symmetric", "heterologous=source", "~loss.generator.D", "+loss.generator.CLIP.it.h=3")
    assert (terms[0].homologous, terms[0].heterologous) == (2 * 2.5 * 3 / 2, 2 * 2.5 * 3 / 2)


@pytest.mark.usefixtures("float64")
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
            exponential = structure == "lafite"
            there = reference(images[space], targets[space, pair], tau, exponential)
            back = reference(targets[space, pair], images[space], tau, exponential)
            factor = (0, 1) if structure == "lafite" else (1, H)
            expected += S[space] * C[pair] * (factor[0] * there + factor[1] * back)
            if structure != "lafite":  # a direction of weight 0 is not computed
                values[f"{phase}/{space}/{pair}"] = there
            values[f"{phase}/{space}/{pair}_het"] = back
    terms = [term for term in terms_of(structure) if term.phase == phase]
    total, ours = structure_loss(
        terms,
        {space: torch.from_numpy(rows).float() for space, rows in images.items()},
        lambda space, pair: torch.from_numpy(targets[space, pair]).float(),
    )
    assert float(total) == pytest.approx(expected, rel=CLOSE)
    assert {name: float(value) for name, value in ours.items()} == pytest.approx(values, rel=CLOSE)
    assert float(weighted_sum(terms, ours)) == pytest.approx(expected, rel=CLOSE)


def test_no_term_costs_nothing():
    assert structure_loss([], {}, None) == (0.0, {})  # type: ignore[arg-type]


def published(a, b, tau, lam, correct):
    """The public baseline's contrast of images a with targets b, from the formula: mix of both softmax directions."""
    cos = a @ b.T
    sim = cos / tau if correct else np.exp(cos / tau)
    softmax_targets = np.exp(sim) / np.exp(sim).sum(axis=1, keepdims=True)  # the anchor is the image
    softmax_images = np.exp(sim) / np.exp(sim).sum(axis=0, keepdims=True)  # the anchor is the target
    own = np.arange(len(a))
    return -np.mean(lam * np.log(softmax_targets[own, own]) + (1 - lam) * np.log(softmax_images[own, own]))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("correct", [True, False])
@pytest.mark.parametrize("lam", [0, 0.3, 1])
@pytest.mark.parametrize("seed", range(3))
def test_lafite_is_the_public_baseline(seed, lam, correct):
    """itd, itc, iid, iic, lam and temp, in both forms of the similarity, on random batches."""
    itd, itc, iid, iic, temp, n = 5.0, 10.0, 2.0, 4.0, 0.5, 6
    terms = active_terms(
        make_config(
            "loss=lafite", "+loss.generator.D.ii={}", "+loss.generator.CLIP.ii={}", "+loss.discriminator.D.ii={}",
            f"S.D={itd}", f"S.CLIP={itc}", "C_it=1", f"C_ii={iid / itd}",  # iid / itd = iic / itc here
            f"loss.homologous={lam}", f"loss.heterologous={1 - lam}",
            f"loss.similarity={'cos' if correct else 'exp_cos'}",
        )
    )  # fmt: skip
    f_d, f_clip, u, v, f_d_real = (rows(10 * seed + offset, n=n) for offset in range(5))
    targets = {("D", "it"): u, ("CLIP", "it"): u, ("CLIP", "ii"): v, ("D", "ii"): f_d_real}
    generator = (
        itd * published(f_d, u, temp, lam, correct)
        + itc * published(f_clip, u, temp, lam, correct)
        + iid * published(f_d, f_d_real, temp, lam, correct)
        + iic * published(f_clip, v, temp, lam, correct)
    )
    total, _ = structure_loss(
        [term for term in terms if term.phase == "G"],
        {"D": torch.from_numpy(f_d).float(), "CLIP": torch.from_numpy(f_clip).float()},
        lambda space, pair: torch.from_numpy(targets[space, pair]).float(),
    )
    assert float(total) == pytest.approx(generator, rel=CLOSE)
    discriminator = itd * published(f_d, u, temp, lam, correct) + iid * published(f_d, v, temp, lam, correct)
    total, _ = structure_loss(
        [term for term in terms if term.phase == "D"],
        {"D": torch.from_numpy(f_d).float()},
        lambda space, pair: torch.from_numpy({"it": u, "ii": v}[pair]).float(),
    )
    assert float(total) == pytest.approx(discriminator, rel=CLOSE)


@pytest.mark.exact
def test_every_target_is_used_once():
    terms = [t for t in terms_of("symmetric") if t.phase == "G"]
    asked = []

    def target(space, pair):
        asked.append((space, pair))
        return torch.from_numpy(rows(3))

    structure_loss(terms, dict.fromkeys(S, torch.from_numpy(rows(1))), target)
    assert sorted(asked) == sorted((space, pair) for space in S for pair in C)
    assert np.unique(asked, axis=0).shape == (6, 2)


@pytest.mark.parametrize("config", [
    PairsConfig("drop_false_negative", fraction=0.4), PairsConfig("weakly_supervised", k=1),
], ids=lambda config: config.name)  # fmt: skip
def test_a_target_without_further_ones_has_the_selection_of_the_batch(config):
    """f_D(x) is in no cache: its term contrasts within the batch where the others have further candidates."""
    n, image = 6, rows(5, n=10)
    similarity, fit = torch.from_numpy(image[:n] @ image.T), torch.ones(n)
    a, b = torch.from_numpy(rows(1, n=n)), torch.from_numpy(rows(2, n=n))
    [term] = [t for t in terms_of("asymmetric", "+loss.generator.D.ii={}") if t.name == "G/D/ii"]
    selections = select(config, similarity, fit)
    _, values = structure_loss([term], {"D": a}, lambda space, pair: b, selections)
    alone = contrast(a, b, 0.5, selections=select(config, similarity[:, :n], fit))
    torch.testing.assert_close(values["G/D/ii"], alone.homologous)
    torch.testing.assert_close(values["G/D/ii_het"], alone.heterologous)
