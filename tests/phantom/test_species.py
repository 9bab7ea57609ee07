"""Channels and species: what is written once holds everywhere."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from qsmbench.errors import QsmbenchError
from qsmbench.phantom.properties import Properties
from qsmbench.phantom.species import (
    CHANNELS,
    CHI,
    FAT,
    SPECIES,
    STATED,
    WATER,
    WEIGHTS,
    in_order,
    unweight,
    weight,
)
from qsmbench.spectra import spectrum


def test_every_channel_is_a_map_of_the_properties():
    assert set(CHANNELS) <= {f.name for f in fields(Properties)}


def test_every_property_of_a_species_is_a_channel():
    for s in SPECIES:
        assert {*CHI, s.pd, s.t1, s.r2, s.r2star} <= set(CHANNELS)


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
    values = {name: float(n) for n, name in enumerate(STATED)} | {"pd": 0.8, "fat_fraction": 0.25}
    ordered = dict(zip(CHANNELS, in_order(dict(reversed(values.items()))), strict=True))
    own = {name: values[name] for name in CHANNELS if name in values}
    assert ordered == {**own, "water_pd": pytest.approx(0.6), "fat_pd": pytest.approx(0.2)}


def test_species_share_all_protons(rendered):
    assert rendered.protons(FAT).pd.max() > 0.5
    np.testing.assert_allclose(rendered.protons(WATER).pd + rendered.protons(FAT).pd, rendered.pd, atol=1e-6)


def test_water_stays_in_phase():
    assert spectrum("water").dephasing(np.array([0.0, 0.01, 0.04]), 3.0) == pytest.approx(1)


@pytest.mark.parametrize("peaks", [6, 7, 9])
def test_spectra_of_fat(peaks):
    """The main peak lies at −3.4 ppm at 37 °C and about −3.5 ppm at room temperature, the amplitudes add up to 1."""
    body, room = spectrum("fat", peaks), spectrum("fat", peaks, 22.0)
    assert len(body.shift) == peaks
    assert sum(body.amplitude) == pytest.approx(1, abs=1e-3)
    main = int(np.argmax(body.amplitude))
    assert body.shift[main] == -3.4
    assert room.shift[main] == pytest.approx(-3.55)
    assert spectrum("water", temperature=22.0).shift == (0.0,)


def test_unknown_number_of_peaks():
    with pytest.raises(QsmbenchError, match="the spectra of fat have 6, 7, 9, 1"):
        spectrum("fat", 5)
