"""Curves and masses along lines of a grid, each against scipy, one line at a time."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.interpolate import BarycentricInterpolator, PchipInterpolator

from mixhier_lite.bayes.cubics import Cubics
from mixhier_lite.bayes.grid import light, rule
from mixhier_lite.bayes.marginal import _integrals, _inverse

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("n", [2, 3, 8, 40])
def test_curves_are_scipys(n):
    nodes = np.cumsum(RNG.uniform(0.1, 1, (20, n)), axis=1)
    values = RNG.normal(size=(20, n))
    values[:10].sort(axis=1)
    values[3, : n // 2] = 0.5  # flat for a while
    curves = Cubics.through(nodes, values)
    line, place = RNG.integers(0, 20, 400), RNG.uniform(-1, 1.2 * nodes.max(), 400)
    found = curves.at(line, place)
    for one, where, value in zip(line, place, found, strict=True):
        inside = np.clip(where, nodes[one, 0], nodes[one, -1])
        assert value == pytest.approx(PchipInterpolator(nodes[one], values[one])(inside), abs=1e-12)


def test_mass_up_to_a_place():
    nodes, weights = rule(9)
    mass = weights * np.exp(RNG.normal(size=(4, 9)))
    up_to = _integrals(mass)
    places = np.array([-1.0, -0.3, 0.6, 1.0])
    for one, (line, place) in enumerate(zip(mass, places, strict=True)):
        density = BarycentricInterpolator(2 * nodes - 1, line / weights / 2)
        assert up_to(places)[one] == pytest.approx(quad(density, -1, place)[0], abs=1e-10)
    assert up_to(1.0) == pytest.approx(mass.sum(axis=1))


def test_a_coordinate_is_found_back():
    x = np.linspace(0.1, 4, 30)
    heights = np.exp(-0.1 * x * np.array([[0.0], [1.0], [-0.5]]))
    back = _inverse(x, heights)
    line = np.arange(3)
    for k in (0, 7, 29):
        assert back(line, np.arcsinh(np.sinh(x[k]) * heights[:, k])) == pytest.approx(x[k])
    beyond = back(line, np.arcsinh(np.sinh(5.0) * heights[:, -1]))
    assert beyond == pytest.approx(5.0)


def test_nodes_that_are_left_out_have_as_little_mass_as_that_together():
    mass = np.exp(RNG.uniform(-30, 0, (50, 20)))
    mass /= mass.sum()
    for together in (1e-12, 1e-6, 1e-2):
        heavy = mass >= light(mass, together)
        assert mass[~heavy].sum() < together
        assert mass[~heavy].sum() + mass[heavy].min() >= together
    assert light(np.zeros(3), 1e-12) == 0.0
