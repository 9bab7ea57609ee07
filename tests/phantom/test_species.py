"""Channels and species: what is written once holds everywhere."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from qsmbench.phantom.properties import Properties
from qsmbench.phantom.species import CHANNELS, FAT, SPECIES, WATER, WEIGHTS, in_order, unweight, weight


def test_every_channel_is_a_map_of_the_properties():
    assert set(CHANNELS) <= {f.name for f in fields(Properties)}


def test_every_property_of_a_species_is_a_channel():
    for s in SPECIES:
        assert {*s.chi, s.pd, s.t1, s.r2, s.r2star} <= set(CHANNELS)
        assert s.fraction is None or s.fraction in CHANNELS


def test_weights_are_divided_out_again():
    values = np.random.default_rng(0).uniform(0.1, 1, (4, len(CHANNELS))).astype(np.float32)
    stack = np.ascontiguousarray(weight(values).T)[:, :, None, None]
    unweight(stack)
    np.testing.assert_allclose(stack[:, :, 0, 0].T, values, rtol=1e-6)


def test_without_protons_nothing_is_left_of_what_they_have():
    stack = np.full((len(CHANNELS), 1, 1, 1), 1e-9, np.float32)
    unweight(stack)
    assert [float(v) > 0 for v in stack.ravel()] == [w < 0 for w in WEIGHTS]


def test_order_of_names_does_not_matter():
    values = {name: float(n) for n, name in enumerate(CHANNELS)}
    assert np.array_equal(in_order(dict(reversed(values.items()))), np.arange(len(CHANNELS)))


def test_species_share_all_protons(rendered):
    assert rendered.protons(FAT).max() > 0.5
    np.testing.assert_allclose(rendered.protons(WATER) + rendered.protons(FAT), rendered.pd, atol=1e-6)


def test_water_stays_in_phase():
    assert WATER.dephasing(np.array([0.0, 0.01, 0.04]), 3.0) == pytest.approx(1)
