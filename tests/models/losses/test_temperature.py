"""Learned temperatures against the loop over samples in NumPy, and against finite differences of it."""

import math

import numpy as np
import pytest
import torch

from clipgan.models.losses.structure import Term, structure_loss
from clipgan.models.losses.temperature import LearnedTemperatures
from tests.models.losses.test_contrastive import reference, rows
from tests.numeric import CLOSE

pytestmark = pytest.mark.numeric

TERMS = [Term("G", "CLIP", pair, 1.0, 0.5, 0.3, "cos", learned=True) for pair in ("it", "ii")]
A, TEXT, IMAGE = rows(1), rows(2), rows(3)


def expected(tau):
    """Both pairs share the temperature of their space."""
    return sum(reference(A, b, tau) + 0.5 * reference(b, A, tau) for b in (TEXT, IMAGE))


def loss_of(temperatures):
    targets = {"it": torch.tensor(TEXT), "ii": torch.tensor(IMAGE)}
    embedded = temperatures.scaled("G", {"CLIP": torch.tensor(A)})
    return structure_loss(TERMS, embedded, lambda _, pair: targets[pair])[0]


@pytest.mark.usefixtures("float64")
def test_value_and_gradient():
    temperatures = LearnedTemperatures(TERMS)
    [parameter] = temperatures.of("G")
    assert float(parameter.detach()) == pytest.approx(-math.log(0.3), rel=CLOSE)
    loss = loss_of(temperatures)
    assert float(loss.detach()) == pytest.approx(expected(0.3), rel=CLOSE)
    loss.backward()
    step = 1e-5  # in log(1 / tau); the error of the central difference is of the order step^2
    difference = (expected(0.3 * np.exp(-step)) - expected(0.3 * np.exp(step))) / (2 * step)
    assert float(parameter.grad) == pytest.approx(difference, rel=1e-6)


def test_it_stays_between_a_hundredth_and_one():
    temperatures = LearnedTemperatures(TERMS)
    [parameter] = temperatures.of("G")
    for value, tau in ((9.0, 0.01), (-3.0, 1.0)):
        with torch.no_grad():
            parameter.fill_(value)
        temperatures.clamp("G")
        assert float(temperatures.values("G")["temperature/G/CLIP"]) == pytest.approx(tau)


@pytest.mark.exact
def test_without_a_learned_term_there_is_no_parameter():
    temperatures = LearnedTemperatures([Term("G", "CLIP", "it", 1.0, 0.5, 0.3, "cos")])
    embedded = {"CLIP": torch.randn(3, 4)}
    assert not list(temperatures.parameters())
    assert temperatures.scaled("G", embedded)["CLIP"] is embedded["CLIP"]
    assert temperatures.values("G") == {}
